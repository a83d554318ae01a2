// SPDX-License-Identifier: Apache-2.0
#include "tests/tls/server.h"

#include <openssl/err.h>

#include <array>
#include <csignal>
#include <poll.h>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>

namespace imprint::test {

namespace {

using Context = Owned<SSL_CTX, SSL_CTX_free>;
using Ssl = Owned<SSL, SSL_free>;

void require(bool done)
{
    if (!done)
        throw std::runtime_error(openssl_error(Reason::internal, "test server").what());
}

int select_alpn(SSL*, const unsigned char** out, unsigned char* length, const unsigned char* offered, unsigned size,
                void* argument)
{
    const auto& name = *static_cast<const std::string*>(argument);
    Bytes own{static_cast<std::uint8_t>(name.size())};
    own.insert(own.end(), name.begin(), name.end());
    unsigned char* chosen = nullptr;
    if (SSL_select_next_proto(&chosen, length, offered, size, own.data(), static_cast<unsigned>(own.size())) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = offered + (std::string_view(reinterpret_cast<const char*>(offered), size).find(name)); // outlives `own`
    return SSL_TLSEXT_ERR_OK;
}

// Of the suite TLS_AES_256_GCM_SHA384.
int find_psk(SSL* ssl, const unsigned char* identity, std::size_t size, SSL_SESSION** session)
{
    const auto& settings = *static_cast<const ServerSettings*>(SSL_get_app_data(ssl));
    *session = nullptr;
    if (settings.psk_identity.empty() || !equal({identity, size}, settings.psk_identity))
        return 1;
    constexpr std::array<unsigned char, 2> suite{0x13, 0x02};
    *session = SSL_SESSION_new();
    return SSL_SESSION_set1_master_key(*session, settings.psk.data(), settings.psk.size()) == 1 &&
        SSL_SESSION_set_cipher(*session, SSL_CIPHER_find(ssl, suite.data())) == 1 &&
        SSL_SESSION_set_protocol_version(*session, TLS1_3_VERSION) == 1;
}

Context make_context(const ServerSettings& settings)
{
    Context context(SSL_CTX_new(TLS_server_method()));
    const auto& identity = settings.identity.get();
    require(context && SSL_CTX_use_certificate(context.get(), identity.certificate.x509()) == 1 &&
            SSL_CTX_use_PrivateKey(context.get(), identity.key.get()) == 1 &&
            SSL_CTX_set_min_proto_version(context.get(), settings.min_version) == 1 &&
            SSL_CTX_set_max_proto_version(context.get(), settings.max_version) == 1);
    const unsigned char session_context = 0; // OpenSSL wants one where it asks for certificates
    require(SSL_CTX_set_session_id_context(context.get(), &session_context, 1) == 1);
    if (!settings.groups.empty())
        require(SSL_CTX_set1_groups_list(context.get(), settings.groups.c_str()) == 1);
    if (!settings.alpn.empty())
        SSL_CTX_set_alpn_select_cb(context.get(), select_alpn, const_cast<std::string*>(&settings.alpn));
    if (settings.client_anchor) {
        SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
        require(X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), settings.client_anchor->x509()) == 1);
    }
    return context;
}

Bytes export_binding(SSL* ssl)
{
    const std::string label = "EXPORTER-Channel-Binding";
    Bytes binding(32);
    require(SSL_export_keying_material(ssl, binding.data(), 32, label.data(), label.size(), nullptr, 0, 0) == 1);
    return binding;
}

ServerReport serve(const ServerSettings& settings, const Fd& connection, const Server::Script& script)
{
    const Context context = make_context(settings);
    const Ssl ssl(SSL_new(context.get()));
    require(ssl && SSL_set_fd(ssl.get(), connection.get()) == 1);
    SSL_set_app_data(ssl.get(), const_cast<ServerSettings*>(&settings));
    SSL_set_psk_find_session_callback(ssl.get(), find_psk);
    ServerReport report;
    report.handshake = SSL_accept(ssl.get()) == 1;
    if (const char* name = SSL_get_servername(ssl.get(), TLSEXT_NAMETYPE_host_name))
        report.server_name = name;
    if (!report.handshake) {
        report.failure = openssl_error(Reason::internal, "server").what();
        return report;
    }
    report.channel_binding = export_binding(ssl.get());
    if (X509* peer = SSL_get1_peer_certificate(ssl.get()))
        report.client_certificate = pki::Certificate(peer).der();
    if (script)
        script(ssl.get());
    ERR_clear_error();
    return report;
}

// A peer that is gone must not end the test.
void block_sigpipe()
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

// False if this direction has ended.
bool pass(int from, int to, std::size_t& offset, const Meddler::Meddle& meddle)
{
    std::array<std::uint8_t, 4096> buffer{};
    const ssize_t n = read(from, buffer.data(), buffer.size());
    if (n <= 0)
        return false;
    std::size_t size = 0;
    bool whole = true;
    for (; size < static_cast<std::size_t>(n) && whole; size += whole)
        whole = !meddle || meddle(offset++, buffer[size]);
    return write(to, buffer.data(), size) == static_cast<ssize_t>(size) && whole;
}

} // namespace

std::pair<Fd, Fd> socket_pair()
{
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
        throw std::runtime_error("no socket pair");
    return {Fd(ends[0]), Fd(ends[1])};
}

Server::Server(ServerSettings settings, Script script)
{
    auto [client, server] = socket_pair();
    client_ = std::move(client);
    start(
        std::move(settings), [end = std::make_shared<Fd>(std::move(server))] { return std::move(*end); },
        std::move(script));
}

Server::Server(ServerSettings settings, Fd listener, Script script)
{
    const auto accept_one = [end = std::make_shared<Fd>(std::move(listener))] {
        return Fd(accept(end->get(), nullptr, nullptr));
    };
    start(std::move(settings), accept_one, std::move(script));
}

void Server::start(ServerSettings settings, std::function<Fd()> connection, Script script)
{
    std::promise<ServerReport> promise;
    report_ = promise.get_future();
    thread_ = std::thread([settings = std::move(settings), connection = std::move(connection),
                           script = std::move(script), promise = std::move(promise)]() mutable {
        block_sigpipe();
        ServerReport report;
        {
            const Fd fd = connection();
            report = serve(settings, fd, script);
        }
        promise.set_value(report);
    });
}

Server::~Server()
{
    client_ = Fd();
    thread_.join();
}

Fd Server::client() { return std::move(client_); }

ServerReport Server::report() { return report_.get(); }

bool read_exactly(SSL* ssl, std::span<std::uint8_t> into)
{
    for (std::size_t n = 0; !into.empty(); into = into.subspan(n))
        if (SSL_read_ex(ssl, into.data(), into.size(), &n) != 1)
            return false;
    return true;
}

bool write_all(SSL* ssl, BytesView data)
{
    std::size_t n = 0;
    return SSL_write_ex(ssl, data.data(), data.size(), &n) == 1;
}

Meddler::Meddler(Fd server, Meddle meddle)
{
    auto [client, ours] = socket_pair();
    client_ = std::move(client);
    thread_ = std::thread([server = std::move(server), ours = std::move(ours), meddle = std::move(meddle)] {
        block_sigpipe();
        std::size_t from_server = 0, from_client = 0;
        for (bool open = true; open;) {
            std::array<pollfd, 2> ends{{{server.get(), POLLIN, 0}, {ours.get(), POLLIN, 0}}};
            poll(ends.data(), ends.size(), -1);
            if (ends[0].revents != 0)
                open = pass(server.get(), ours.get(), from_server, meddle);
            else if (ends[1].revents != 0)
                open = pass(ours.get(), server.get(), from_client, {});
        }
    });
}

Meddler::~Meddler()
{
    client_ = Fd();
    thread_.join();
}

} // namespace imprint::test
