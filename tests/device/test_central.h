// SPDX-License-Identifier: Apache-2.0
// A central system on a Unix socket, in small: TLS 1.3 by OpenSSL's own server, client certificates, PSKs, and an echo.
#pragma once

#include "daemon/lifecycle/store.h"
#include "provisioning/protocol/messages.pb.h"
#include "tests/support/process.h"
#include "tests/support/test_pki.h"

#include <openssl/ssl.h>

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

namespace imprint::test {

class TestCentral {
public:
    // What it does wrong, or only some centrals do. Everything is off by default.
    struct Habits {
        bool silent = false; // takes connections, and says nothing
        bool forgets_keys = false; // knows no PSK
        bool no_key_conversation = false; // speaks no imprint-key/1, as an ordinary server
        std::function<void(protocol::KeyMessage&)> alter; // a message of the key conversation about to be sent
        std::function<Bytes(Bytes)> replace; // ... or its bytes
        const Certified* certificate = nullptr; // instead of its own
    };

    explicit TestCentral(const TestPki& pki);
    ~TestCentral();

    std::string address() const { return "unix:" + socket_.string(); }
    const Certified& certificate() const { return certificate_; }
    void set(Habits habits); // from the next connection on
    int with_certificate() const { return with_certificate_; } // connections that a module certificate opened
    int with_psk() const { return with_psk_; }
    int key_conversations() const { return key_conversations_; }
    std::vector<Bytes> secrets() const; // all keys and PSKs so far

    // Lets the device of these files know this central system, as a grant of the station would.
    void introduce(const lifecycle::Store& store, const std::vector<const Certified*>& keys) const;

private:
    struct Key {
        Secret secret;
        bool confirmed = false;
    };
    void run(const std::stop_token& stop);
    void serve(Fd connection);
    void echo(SSL* ssl);
    void hand_out_key(SSL* ssl, const Habits& habits);
    static int select_alpn(SSL* ssl, const unsigned char** out, unsigned char* size, const unsigned char* offered,
                           unsigned offered_size, void* central);
    static int find_psk(SSL* ssl, const unsigned char* identity, std::size_t size, SSL_SESSION** session);
    Habits habits() const;

    const TestPki& pki_;
    Certified certificate_;
    TemporaryDirectory directory_;
    std::filesystem::path socket_;
    Fd listener_, stop_event_;
    std::atomic<int> with_certificate_ = 0, with_psk_ = 0, key_conversations_ = 0;
    mutable std::mutex mutex_; // guards the next three
    Habits habits_;
    std::map<Bytes, Key> keys_;
    std::vector<Bytes> secrets_;
    std::jthread thread_;
    std::vector<std::jthread> connections_; // the thread's own
    std::vector<int> open_; // guarded by mutex_
};

} // namespace imprint::test
