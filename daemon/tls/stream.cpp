// SPDX-License-Identifier: Apache-2.0
#include "daemon/tls/stream.h"

#include "daemon/tls/address.h"
#include "daemon/tls/failure.h"
#include "daemon/tls/link.h"
#include "daemon/tls/psk.h"
#include "daemon/tls/server_check.h"

#include <openssl/err.h>

namespace imprint::tls {

namespace {

void require(bool done, Reason reason, const char* doing)
{
    if (!done)
        throw openssl_error(reason, doing);
}

void offer_alpn(SSL* ssl, const std::string& alpn)
{
    if (alpn.empty())
        return;
    Bytes offer{static_cast<std::uint8_t>(alpn.size())};
    offer.insert(offer.end(), alpn.begin(), alpn.end());
    require(alpn.size() <= 255 && SSL_set_alpn_protos(ssl, offer.data(), static_cast<unsigned>(offer.size())) == 0,
            Reason::internal, "cannot offer the application protocol");
}

void use_identity(SSL_CTX* context, const ClientIdentity& identity)
{
    if (identity.chain.empty())
        throw Error(Reason::invalid_argument, "an identity without a certificate");
    require(SSL_CTX_use_certificate(context, identity.chain.front().x509()) == 1, Reason::invalid_argument,
            "cannot use the own certificate");
    for (std::size_t i = 1; i < identity.chain.size(); ++i)
        require(SSL_CTX_add1_chain_cert(context, identity.chain[i].x509()) == 1, Reason::invalid_argument,
                "cannot use the own certificate's chain");
    require(SSL_CTX_use_PrivateKey(context, identity.key.get()) == 1, Reason::key_mismatch,
            "the own certificate belongs to another key");
}

} // namespace

// In OpenSSL's own library context also where the key is a Provider's: the key brings its operations along. In the
// provider's context OpenSSL 3.0 would not find the curves any more once a key of it has signed: it remembers the
// provider's key management as the answer to every question for "EC".
SharedContext shared_context(const std::optional<ClientIdentity>& identity)
{
    ERR_clear_error();
    SharedContext context(SSL_CTX_new_ex(nullptr, nullptr, TLS_client_method()), SSL_CTX_free);
    require(context && SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) == 1 &&
                SSL_CTX_set_max_proto_version(context.get(), TLS1_3_VERSION) == 1 &&
                SSL_CTX_set1_groups_list(context.get(), "X25519:P-256") == 1,
            Reason::internal, "cannot set up TLS");
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context.get(), SSL_MODE_NO_AUTO_CHAIN);
    ServerCheck::prepare(context.get());
    if (identity)
        use_identity(context.get(), *identity);
    return context;
}

namespace {

Owned<SSL, SSL_free> make_ssl(SSL_CTX* context, const ClientSettings& settings, Link& link)
{
    ERR_clear_error();
    Owned<SSL, SSL_free> ssl(SSL_new(context));
    require(ssl != nullptr, Reason::internal, "cannot set up TLS");
    offer_alpn(ssl.get(), settings.alpn);
    // The macro for this casts in the style of C.
    if (!settings.server_name.empty() && !is_numeric(settings.server_name))
        require(SSL_ctrl(ssl.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                         const_cast<char*>(settings.server_name.c_str())) == 1,
                Reason::invalid_argument, "not a host name");
    BIO* bio = link.bio().release();
    SSL_set_bio(ssl.get(), bio, bio);
    return ssl;
}

void handshake(SSL* ssl, const ClientSettings& settings)
{
    ServerCheck check(settings, ssl);
    std::optional<PskOffer> offer;
    if (settings.psk)
        offer.emplace(*settings.psk, ssl);
    ERR_clear_error();
    if (SSL_connect(ssl) != 1)
        throw failure("TLS handshake");
    if (offer && SSL_session_reused(ssl) == 1)
        check.pass_by_psk();
    // Fails closed, should OpenSSL ever find a way around the callback.
    if (!check.passed() || SSL_version(ssl) != TLS1_3_VERSION)
        throw Error(Reason::untrusted_certificate, "the server was not checked");
}

} // namespace

Stream::Stream(Fd fd, ClientSettings settings, Deadline deadline, const Cancel& cancel)
    : Stream(std::move(fd), settings, shared_context(settings.identity), deadline, cancel)
{
}

Stream::Stream(Fd fd, const ClientSettings& settings, const SharedContext& shared, Deadline deadline,
               const Cancel& cancel)
    : link_(std::make_unique<Link>(std::move(fd), cancel))
    , ssl_(make_ssl(shared.get(), settings, *link_))
{
    link_->until(deadline);
    link_->first_byte_by(settings.first_answer);
    handshake(ssl_.get(), settings);
}

Stream::~Stream() = default;

Bytes Stream::channel_binding() const
{
    constexpr std::string_view label = "EXPORTER-Channel-Binding";
    Bytes binding(32);
    require(SSL_export_keying_material(ssl_.get(), binding.data(), binding.size(), label.data(), label.size(), nullptr,
                                       0, 1) == 1,
            Reason::internal, "cannot export the channel binding");
    return binding;
}

bool Stream::used_psk() const { return SSL_session_reused(ssl_.get()) == 1; }

// Parsed anew: what OpenSSL has belongs to the library context of this stream and would have to go before it.
pki::Certificate Stream::peer() const
{
    const X509* x509 = SSL_get0_peer_certificate(ssl_.get());
    Bytes der(static_cast<std::size_t>(std::max(i2d_X509(x509, nullptr), 0)));
    auto* at = der.data();
    i2d_X509(x509, &at);
    return pki::Certificate::from_der(der).or_throw();
}

// A peer that refuses our certificate says so in an alert and closes; where writing fails first, the alert is still
// to be read and tells more.
void Stream::write(BytesView data, Deadline deadline)
{
    if (data.empty())
        return;
    link_->until(deadline);
    ERR_clear_error();
    std::size_t count = 0;
    if (SSL_write_ex(ssl_.get(), data.data(), data.size(), &count) == 1)
        return;
    const Error error = failure("TLS write");
    std::uint8_t unread = 0;
    if (error.reason() == Reason::connection_lost && SSL_read_ex(ssl_.get(), &unread, 1, &count) != 1 &&
        ERR_peek_error() != 0)
        throw failure("TLS write");
    throw Error(error);
}

Bytes Stream::read(std::size_t size, Deadline deadline)
{
    link_->until(deadline);
    ERR_clear_error();
    Bytes data(size);
    for (std::size_t filled = 0, count = 0; filled < size; filled += count)
        if (SSL_read_ex(ssl_.get(), data.data() + filled, size - filled, &count) != 1)
            throw failure("TLS read");
    return data;
}

Established Stream::release() &&
{
    Established out{link_->release(), std::move(ssl_)};
    BIO* bio = nonblocking_bio(out.fd.get()).release();
    SSL_set_bio(out.ssl.get(), bio, bio);
    return out;
}

void Stream::close() noexcept
{
    constexpr auto patience = std::chrono::milliseconds(100);
    link_->until(std::chrono::steady_clock::now() + patience);
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
}

} // namespace imprint::tls
