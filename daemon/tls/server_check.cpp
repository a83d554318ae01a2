// SPDX-License-Identifier: Apache-2.0
#include "daemon/tls/server_check.h"

#include "daemon/tls/address.h"
#include "daemon/tls/boundary.h"

#include <openssl/x509v3.h>

namespace imprint::tls {

namespace {

int index()
{
    static const int number = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return number;
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

Verdict check_key(const pki::Certificate& leaf, const std::optional<std::vector<Bytes>>& keys)
{
    if (!keys)
        return accepted();
    const Bytes spki = leaf.spki();
    Bytes digest(EVP_MAX_MD_SIZE);
    std::size_t size = 0;
    if (EVP_Q_digest(nullptr, "SHA256", nullptr, spki.data(), spki.size(), digest.data(), &size) != 1)
        throw openssl_error(Reason::internal, "cannot hash a key");
    digest.resize(size);
    if (std::ranges::find(*keys, digest) != keys->end())
        return accepted();
    return Refusal{Reason::central_key_unknown, "the server's certificate is good, but its key is none of those known"};
}

} // namespace

void ServerCheck::prepare(SSL_CTX* context)
{
    SSL_CTX_set_cert_verify_callback(context, boundary<&ServerCheck::callback>, nullptr);
}

ServerCheck::ServerCheck(const ClientSettings& settings, SSL* ssl)
    : settings_(settings)
    , ssl_(ssl)
{
    SSL_set_verify(ssl, SSL_VERIFY_PEER, nullptr);
    if (SSL_set_ex_data(ssl, index(), this) != 1)
        throw openssl_error(Reason::internal, "cannot set up TLS");
}

ServerCheck::~ServerCheck() { SSL_set_ex_data(ssl_, index(), nullptr); }

int ServerCheck::callback(X509_STORE_CTX* store, void*)
{
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    const auto* ssl = static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    auto* found = static_cast<ServerCheck*>(SSL_get_ex_data(ssl, index()));
    if (found == nullptr)
        return 0;
    auto& check = *found;
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
    if (auto verdict = check_name(leaf, settings_.server_name); !verdict)
        return verdict;
    return check_key(chain->front(), settings_.server_keys);
}

void ServerCheck::pass_by_psk()
{
    check_alpn(ssl_, settings_.alpn).or_throw();
    passed_ = true;
}

} // namespace imprint::tls
