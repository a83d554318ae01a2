// SPDX-License-Identifier: Apache-2.0
#include "provisioning/server/tls.h"

#include <openssl/x509v3.h>

#include <array>

namespace imprint::server {

namespace {

// What a context's callbacks need; lives in its ex_data and dies with it.
struct State {
    std::optional<PeerPolicy> peers;
    Bytes alpn; // in the form of the protocol: length, name, and so on
    RoleOfProtocol roles = {}; // instead of the policy's role, if there are any
    Besides besides = {};
};

constexpr int max_identities = 4; // of one ClientHello, which has room for thousands
constexpr std::array<unsigned char, 2> psk_suite{0x13, 0x02}; // TLS_AES_256_GCM_SHA384
constexpr std::string_view session_context = "imprint"; // OpenSSL wants one where certificates are asked for, too

using Session = Owned<SSL_SESSION, SSL_SESSION_free>;

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

// How many identities of the connection's ClientHello were looked up already.
int lookups_index()
{
    static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return index;
}

bool may_look_up(SSL* ssl)
{
    const auto count = reinterpret_cast<std::uintptr_t>(SSL_get_ex_data(ssl, lookups_index()));
    return count < max_identities && SSL_set_ex_data(ssl, lookups_index(), reinterpret_cast<void*>(count + 1)) == 1;
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

Result<pki::Certificates> judge(X509_STORE_CTX* store, const PeerPolicy& policy)
{
    X509* x509 = X509_STORE_CTX_get0_cert(store);
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    const auto verify = [&](pki::Role role) {
        return pki::verify(pki::shared(x509), pki::shared(X509_STORE_CTX_get0_untrusted(store)), *policy.trust, role,
                           now);
    };
    auto chain = verify(policy.role);
    if (!chain && chain.refusal().reason == Reason::wrong_role && policy.other_role)
        chain = verify(*policy.other_role);
    if (chain && !policy.host.empty() && !names(x509, policy.host))
        return Refusal{Reason::untrusted_certificate, "the certificate is not for " + policy.host};
    return chain;
}

void free_deep(STACK_OF(X509) * stack) { sk_X509_pop_free(stack, X509_free); }

void leave_chain(X509_STORE_CTX* store, const pki::Certificates& chain)
{
    Owned<STACK_OF(X509), free_deep> stack(sk_X509_new_null());
    for (const auto& certificate : chain)
        if (!stack || X509_add_cert(stack.get(), certificate.x509(), X509_ADD_FLAG_UP_REF) != 1)
            throw openssl_error(Reason::internal, "cannot keep a chain of certificates");
    X509_STORE_CTX_set0_verified_chain(store, stack.release());
}

void remember(SSL* ssl, const Refusal& refusal)
{
    auto copy = std::make_unique<Refusal>(refusal);
    if (SSL_set_ex_data(ssl, refusal_index(), copy.get()) == 1)
        static_cast<void>(copy.release()); // the connection's now
}

// A server has agreed on the protocol before it sees the client's certificate.
Result<pki::Certificates> judge(X509_STORE_CTX* store, SSL* ssl)
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
    if (verdict) {
        leave_chain(store, *verdict);
        return 1;
    }
    X509_STORE_CTX_set_error(store, pki::verify_error(verdict.refusal().reason));
    remember(ssl, verdict.refusal());
    return 0;
} catch (const std::exception&) {
    X509_STORE_CTX_set_error(store, X509_V_ERR_UNSPECIFIED);
    return 0;
}

Session session_of(SSL* ssl, const Secret& psk, BytesView identity)
{
    Session session(SSL_SESSION_new());
    const SSL_CIPHER* suite = SSL_CIPHER_find(ssl, psk_suite.data());
    if (!session || suite == nullptr || SSL_SESSION_set1_master_key(session.get(), psk.data(), psk.size()) != 1 ||
        SSL_SESSION_set_cipher(session.get(), suite) != 1 ||
        SSL_SESSION_set_protocol_version(session.get(), TLS1_3_VERSION) != 1 ||
        SSL_SESSION_set1_ticket_appdata(session.get(), identity.data(), identity.size()) != 1)
        throw openssl_error(Reason::internal, "cannot use a pre-shared key");
    return session;
}

// Whatever goes wrong with a PSK: there still are certificates.
int find_psk(SSL* ssl, const unsigned char* identity, std::size_t size, SSL_SESSION** session) noexcept
try {
    *session = nullptr;
    const BytesView name{identity, size};
    const auto psk = may_look_up(ssl) ? state_of(ssl).besides.psk(name) : std::nullopt;
    if (psk)
        *session = session_of(ssl, *psk, name).release();
    return 1;
} catch (const std::exception&) {
    return 1;
}

int select_alpn(SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                unsigned offered_size, void* /*argument*/) noexcept
{
    const State& state = state_of(ssl);
    const Bytes& ours = state.alpn;
    unsigned char* chosen = nullptr;
    if (SSL_select_next_proto(&chosen, out_size, ours.data(), static_cast<unsigned>(ours.size()), offered,
                              offered_size) != OPENSSL_NPN_NEGOTIATED)
        return state.besides.other_protocols ? SSL_TLSEXT_ERR_NOACK : SSL_TLSEXT_ERR_ALERT_FATAL;
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
                          const std::vector<std::string>& alpn, Besides besides)
{
    const bool psk = static_cast<bool>(besides.psk);
    auto context =
        make_context(TLS_server_method(), identity, {std::move(clients), alpn_list(alpn), {}, std::move(besides)});
    if (!alpn.empty())
        SSL_CTX_set_alpn_select_cb(context.get(), select_alpn, nullptr);
    if (psk) {
        SSL_CTX_set_session_id_context(context.get(), as_bytes(session_context).data(), session_context.size());
        SSL_CTX_set_psk_find_session_callback(context.get(), find_psk);
    }
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

pki::Certificates verified_chain(SSL* ssl)
{
    const auto* chain = SSL_get0_verified_chain(ssl);
    return chain == nullptr ? pki::Certificates{} : pki::shared(chain);
}

std::string negotiated(SSL* ssl)
{
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl, &name, &size);
    return to_string({name, size});
}

std::optional<Bytes> psk_identity(SSL* ssl)
{
    void* data = nullptr;
    std::size_t size = 0;
    if (SSL_session_reused(ssl) != 1 || SSL_SESSION_get0_ticket_appdata(SSL_get0_session(ssl), &data, &size) != 1 ||
        size == 0)
        return std::nullopt;
    const auto* begin = static_cast<const std::uint8_t*>(data);
    return Bytes(begin, begin + size);
}

std::optional<Refusal> peer_refusal(SSL* ssl)
{
    const auto* refusal = static_cast<const Refusal*>(SSL_get_ex_data(ssl, refusal_index()));
    if (refusal == nullptr)
        return std::nullopt;
    return *refusal;
}

} // namespace imprint::server
