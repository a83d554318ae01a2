// SPDX-License-Identifier: Apache-2.0
#include "provisioning/server/tls.h"

#include <openssl/x509v3.h>

namespace imprint::server {

namespace {

// What a context's callbacks need; lives in its ex_data and dies with it.
struct State {
    std::optional<PeerPolicy> peers;
    Bytes alpn; // in the form of the protocol: length, name, and so on
    RoleOfProtocol roles = {}; // instead of the policy's role, if there are any
};

template <class T>
void free_ex_data(void* /*parent*/, void* content, CRYPTO_EX_DATA* /*data*/, int /*index*/, long /*argl*/,
                  void* /*argp*/)
{
    std::unique_ptr<T>(static_cast<T*>(content)).reset();
}

int state_index()
{
    static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, free_ex_data<State>);
    return index;
}

int refusal_index()
{
    static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, free_ex_data<Refusal>);
    return index;
}

const State& state_of(SSL* ssl)
{
    return *static_cast<const State*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), state_index()));
}

bool names(X509* certificate, const std::string& host)
{
    return X509_check_ip_asc(certificate, host.c_str(), 0) == 1 ||
        X509_check_host(certificate, host.data(), host.size(), X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr) == 1;
}

Verdict judge(X509_STORE_CTX* store, const PeerPolicy& policy)
{
    X509* x509 = X509_STORE_CTX_get0_cert(store);
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    const auto chain = pki::verify(pki::shared(x509), pki::shared(X509_STORE_CTX_get0_untrusted(store)), *policy.trust,
                                   policy.role, now);
    if (!chain)
        return chain.refusal();
    if (!policy.host.empty() && !names(x509, policy.host))
        return Refusal{Reason::untrusted_certificate, "the certificate is not for " + policy.host};
    return accepted();
}

void remember(SSL* ssl, const Refusal& refusal)
{
    auto copy = std::make_unique<Refusal>(refusal);
    if (SSL_set_ex_data(ssl, refusal_index(), copy.get()) == 1)
        static_cast<void>(copy.release()); // the connection's now
}

// A server has agreed on the protocol before it sees the client's certificate.
Verdict judge(X509_STORE_CTX* store, SSL* ssl)
{
    const State& state = state_of(ssl);
    PeerPolicy policy = state.peers.value();
    if (!state.roles.empty()) {
        const auto agreed = state.roles.find(negotiated(ssl));
        if (agreed == state.roles.end())
            return Refusal{Reason::unsupported_version, "the peer speaks none of the protocols of this address"};
        policy.role = agreed->second;
    }
    return judge(store, policy);
}

int check_peer(X509_STORE_CTX* store, void* /*argument*/) noexcept
try {
    auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    const auto verdict = judge(store, ssl);
    if (verdict)
        return 1;
    X509_STORE_CTX_set_error(store, pki::verify_error(verdict.refusal().reason));
    remember(ssl, verdict.refusal());
    return 0;
} catch (const std::exception&) {
    X509_STORE_CTX_set_error(store, X509_V_ERR_UNSPECIFIED);
    return 0;
}

int select_alpn(SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                unsigned offered_size, void* /*argument*/) noexcept
{
    const Bytes& ours = state_of(ssl).alpn;
    unsigned char* chosen = nullptr;
    if (SSL_select_next_proto(&chosen, out_size, ours.data(), static_cast<unsigned>(ours.size()), offered,
                              offered_size) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

Bytes alpn_list(const std::vector<std::string>& names)
{
    Bytes list;
    for (const auto& name : names) {
        list.push_back(static_cast<std::uint8_t>(name.size()));
        list.insert(list.end(), name.begin(), name.end());
    }
    return list;
}

void show(SSL_CTX* context, const TlsIdentity& identity)
{
    bool good = !identity.chain.empty() && SSL_CTX_use_certificate(context, identity.chain.front().x509()) == 1 &&
        SSL_CTX_use_PrivateKey(context, identity.key) == 1 && SSL_CTX_check_private_key(context) == 1;
    for (std::size_t i = 1; good && i < identity.chain.size(); ++i)
        good = SSL_CTX_add1_chain_cert(context, identity.chain[i].x509()) == 1;
    if (!good)
        throw openssl_error(Reason::not_configured, "the TLS certificate and its key do not fit together");
}

TlsContext make_context(const SSL_METHOD* method, const TlsIdentity& identity, State state)
{
    TlsContext context(SSL_CTX_new(method));
    if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) != 1)
        throw openssl_error(Reason::internal, "no TLS context can be made");
    SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context.get(), 0);
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE);
    show(context.get(), identity);
    if (state.peers) {
        SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
        SSL_CTX_set_cert_verify_callback(context.get(), check_peer, nullptr);
    }
    auto owned = std::make_unique<State>(std::move(state));
    if (SSL_CTX_set_ex_data(context.get(), state_index(), owned.get()) != 1)
        throw openssl_error(Reason::internal, "no TLS context can be made");
    static_cast<void>(owned.release()); // the context's now
    return context;
}

} // namespace

TlsContext server_context(const TlsIdentity& identity, std::optional<PeerPolicy> clients,
                          const std::vector<std::string>& alpn)
{
    auto context = make_context(TLS_server_method(), identity, {std::move(clients), alpn_list(alpn)});
    if (!alpn.empty())
        SSL_CTX_set_alpn_select_cb(context.get(), select_alpn, nullptr);
    return context;
}

TlsContext server_context(const TlsIdentity& identity, std::shared_ptr<const pki::Trust> trust,
                          const RoleOfProtocol& protocols)
{
    if (protocols.empty())
        throw Error(Reason::internal, "a server without a protocol");
    std::vector<std::string> names;
    for (const auto& [name, role] : protocols)
        names.push_back(name);
    PeerPolicy clients{std::move(trust), protocols.begin()->second, {}};
    auto context = make_context(TLS_server_method(), identity, {std::move(clients), alpn_list(names), protocols});
    SSL_CTX_set_alpn_select_cb(context.get(), select_alpn, nullptr);
    return context;
}

TlsContext client_context(const TlsIdentity& identity, PeerPolicy server, const std::vector<std::string>& alpn)
{
    auto context = make_context(TLS_client_method(), identity, {std::move(server), alpn_list(alpn)});
    const Bytes list = alpn_list(alpn);
    if (!list.empty() && SSL_CTX_set_alpn_protos(context.get(), list.data(), static_cast<unsigned>(list.size())) != 0)
        throw openssl_error(Reason::internal, "no application protocol can be set");
    return context;
}

Bytes channel_binding(SSL* ssl)
{
    constexpr std::string_view label = "EXPORTER-Channel-Binding";
    Bytes binding(32);
    if (SSL_export_keying_material(ssl, binding.data(), binding.size(), label.data(), label.size(), nullptr, 0, 0) != 1)
        throw openssl_error(Reason::internal, "the TLS connection exports no channel binding");
    return binding;
}

std::optional<pki::Certificate> peer_certificate(SSL* ssl)
{
    X509* x509 = SSL_get1_peer_certificate(ssl);
    if (x509 == nullptr)
        return std::nullopt;
    return pki::Certificate(x509);
}

std::string negotiated(SSL* ssl)
{
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl, &name, &size);
    return to_string({name, size});
}

std::optional<Refusal> peer_refusal(SSL* ssl)
{
    const auto* refusal = static_cast<const Refusal*>(SSL_get_ex_data(ssl, refusal_index()));
    if (refusal == nullptr)
        return std::nullopt;
    return *refusal;
}

} // namespace imprint::server
