// SPDX-License-Identifier: Apache-2.0
#include "daemon/tls/server_check.h"

#include "daemon/tls/address.h"
#include "daemon/tls/boundary.h"

#include <openssl/x509v3.h>

namespace imprint::tls {

namespace {

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
        X509_STORE_CTX_set_error(store, pki::verify_error(verdict.refusal().reason));
        throw Error(verdict.refusal());
    }
    X509_STORE_CTX_set_error(store, X509_V_OK);
    check.passed_ = true;
    return 1;
}

Verdict ServerCheck::judge(const X509_STORE_CTX* store) const
{
    X509* leaf = X509_STORE_CTX_get0_cert(store);
    const auto sent = pki::shared(X509_STORE_CTX_get0_untrusted(store));
    if (auto verdict = check_alpn(ssl_, settings_.alpn); !verdict)
        return verdict;
    const auto chain = pki::verify(pki::shared(leaf), sent, settings_.trust, settings_.server_role, settings_.now);
    if (!chain)
        return chain.refusal();
    return check_name(leaf, settings_.server_name);
}

} // namespace imprint::tls
