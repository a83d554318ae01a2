// SPDX-License-Identifier: Apache-2.0
// A device's end of the line in plain OpenSSL, which can also do what no device would.
#pragma once

#include "daemon/base/file.h"
#include "daemon/base/secret.h"
#include "tests/support/test_pki.h"

#include <openssl/ssl.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace imprint::test {

struct Psk {
    Bytes identity;
    Secret key;
    const char* suite = "TLS_AES_256_GCM_SHA384";
};

struct ClientSettings {
    const Certified* identity = nullptr;
    pki::Certificates issuers; // sent along
    std::vector<Psk> psks; // at most one is good for OpenSSL
    std::vector<std::string> alpn;
    int max_version = TLS1_3_VERSION;
    const char* suites = nullptr;
    bool early_data = false;
};

class DeviceClient {
public:
    // Connects to "host:port" or "unix:/path"; the handshake is not done yet. Every operation has 20 s.
    DeviceClient(const std::string& address, ClientSettings settings);
    ~DeviceClient();

    // Whether both sides went through the handshake: in TLS 1.3 a server refuses a certificate after the client's part,
    // so it is waited for what comes then, an alert or the answer to `probe`. The server's words if it refused.
    std::string handshake();
    bool by_psk() const { return SSL_session_reused(ssl_.get()) == 1; }
    std::string alpn() const;
    Bytes channel_binding() const;

    void write(BytesView bytes);
    void write(const std::string& text) { write(as_bytes(text)); }
    // Some bytes; empty at the peer's close_notify. Throws std::runtime_error for any other end.
    Bytes read_some();
    Bytes read(std::size_t size); // exactly
    std::string read_all(); // until the close_notify
    void close_half(); // our close_notify
    // A key conversation's message and the answer.
    void send(BytesView message);
    Bytes receive();

    SSL* ssl() { return ssl_.get(); }
    int fd() const { return fd_.get(); }
    void drop() { fd_ = Fd(); } // without a word

private:
    ClientSettings settings_;
    Fd fd_;
    Owned<SSL_CTX, SSL_CTX_free> context_;
    Owned<SSL, SSL_free> ssl_;
};

// A blocking socket with deadlines.
Fd connect_to(const std::string& address);

} // namespace imprint::test
