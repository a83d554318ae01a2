// SPDX-License-Identifier: Apache-2.0
#include "daemon/tls/server_check.h"

#include "daemon/tls/address.h"
#include "daemon/tls/boundary.h"

#include <openssl/x509v3.h>

namespace imprint::tls {

namespace {

pki::Certificate share(X509* x509)
{
    X509_up_ref(x509);
    return pki::Certificate(x509);
}

Verdict check_alpn(const SSL* ssl, const std::string& wanted)
{
    const unsigned char* chosen = nullptr;
    unsigned length = 0;
    SSL_get0_alpn_selected(ssl, &chosen, &length);
    if (equal({chosen, length}, as_bytes(wanted)))
        return accepted();
    return Refusal{Reason::unsupported_version, "the server does not speak " + wanted};
}

Verdict check_name(X509* leaf, const std::string& name)
{
    if (name.empty())
        return accepted();
    constexpr unsigned strict = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_WILDCARDS;
    const int same = is_numeric(name) ? X509_check_ip_asc(leaf, name.c_str(), 0)
                                      : X509_check_host(leaf, name.data(), name.size(), strict, nullptr);
    if (same == 1)
        return accepted();
    return Refusal{Reason::wrong_name, "the server's certificate is not for " + name};
}

// What the server is told by the alert that OpenSSL makes of it.
int verify_code(Reason reason)
{
    switch (reason) {
    case Reason::certificate_expired:
        return X509_V_ERR_CERT_HAS_EXPIRED;
    case Reason::certificate_not_yet_valid:
        return X509_V_ERR_CERT_NOT_YET_VALID;
    case Reason::certificate_revoked:
        return X509_V_ERR_CERT_REVOKED;
    case Reason::untrusted_certificate:
        return X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
    case Reason::wrong_role:
        return X509_V_ERR_INVALID_PURPOSE;
    case Reason::wrong_name:
        return X509_V_ERR_HOSTNAME_MISMATCH;
    default:
        return X509_V_ERR_APPLICATION_VERIFICATION;
    }
}

} // namespace

ServerCheck::ServerCheck(const ClientSettings& settings, SSL* ssl)
    : settings_(settings)
    , ssl_(ssl)
{
    SSL_set_verify(ssl, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_cert_verify_callback(SSL_get_SSL_CTX(ssl), boundary<&ServerCheck::callback>, this);
}

// OpenSSL's own verification against an empty store comes back: it accepts nobody.
ServerCheck::~ServerCheck() { SSL_CTX_set_cert_verify_callback(SSL_get_SSL_CTX(ssl_), nullptr, nullptr); }

int ServerCheck::callback(X509_STORE_CTX* store, void* argument)
{
    auto& check = *static_cast<ServerCheck*>(argument);
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    const Verdict verdict = check.judge(store);
    if (!verdict) {
        X509_STORE_CTX_set_error(store, verify_code(verdict.refusal().reason));
        throw Error(verdict.refusal());
    }
    X509_STORE_CTX_set_error(store, X509_V_OK);
    check.passed_ = true;
    return 1;
}

Verdict ServerCheck::judge(const X509_STORE_CTX* store) const
{
    X509* leaf = X509_STORE_CTX_get0_cert(store);
    pki::Certificates sent;
    const STACK_OF(X509)* stack = X509_STORE_CTX_get0_untrusted(store);
    for (int i = 0; i < sk_X509_num(stack); ++i)
        sent.push_back(share(sk_X509_value(stack, i)));
    if (auto verdict = check_alpn(ssl_, settings_.alpn); !verdict)
        return verdict;
    const auto chain = pki::verify(share(leaf), sent, settings_.trust, settings_.server_role, settings_.now);
    if (!chain)
        return chain.refusal();
    return check_name(leaf, settings_.server_name);
}

} // namespace imprint::tls
