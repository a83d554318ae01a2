// SPDX-License-Identifier: Apache-2.0
// The other side of a Stream: OpenSSL's own server in a thread, and a wire that can be cut and falsified.
#pragma once

#include "daemon/tls/stream.h"
#include "tests/support/test_pki.h"

#include <functional>
#include <future>
#include <string>
#include <thread>

namespace imprint::test {

// The two ends of a stream socket.
std::pair<Fd, Fd> socket_pair();

struct ServerSettings {
    std::reference_wrapper<const Certified> identity;
    std::string alpn = "imprint/1"; // empty: does not know ALPN
    int min_version = TLS1_3_VERSION;
    int max_version = TLS1_3_VERSION;
    std::string groups; // empty: as OpenSSL offers them
    std::optional<pki::Certificate> client_anchor; // a client certificate under this is required
    Bytes psk_identity; // empty: knows no PSK
    Bytes psk;
};

// What the server saw.
struct ServerReport {
    bool handshake = false;
    std::string failure; // OpenSSL's words where the handshake failed
    Bytes channel_binding;
    std::optional<Bytes> client_certificate; // DER
    std::string server_name; // SNI
};

class Server {
public:
    // Runs after the handshake, in the server's thread.
    using Script = std::function<void(SSL* ssl)>;
    explicit Server(ServerSettings settings, Script script = {});
    // Serves one connection of a listening socket.
    Server(ServerSettings settings, Fd listener, Script script = {});
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    Fd client(); // the client's end
    ServerReport report(); // once the client has ended

private:
    void start(ServerSettings settings, std::function<Fd()> connection, Script script);
    Fd client_;
    std::future<ServerReport> report_;
    std::thread thread_;
};

bool read_exactly(SSL* ssl, std::span<std::uint8_t> into);
bool write_all(SSL* ssl, BytesView data);

// Stands between a client and a server and passes everything on, but for what `meddle` does to the bytes of the server
// (`offset` counts them from the first). It may change them; false cuts the wire there.
class Meddler {
public:
    using Meddle = std::function<bool(std::size_t offset, std::uint8_t& byte)>;
    Meddler(Fd server, Meddle meddle);
    ~Meddler();
    Meddler(const Meddler&) = delete;
    Meddler& operator=(const Meddler&) = delete;
    Fd client() { return std::move(client_); }

private:
    Fd client_;
    std::thread thread_;
};

} // namespace imprint::test
