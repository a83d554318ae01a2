// SPDX-License-Identifier: Apache-2.0
// A station on a Unix socket: the real session behind a real TLS 1.3 server, with a test's hand on every message.
#pragma once

#include "provisioning/protocol/framing.h"
#include "provisioning/station/session.h"
#include "tests/support/process.h"
#include "tests/support/test_pki.h"

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>

namespace imprint::test {

// The conversation's messages in their order; a station receives the odd ones and sends the even ones.
enum Step { hello = 1, challenge, proof, grant, backup, receipt };

// What the station does wrong. Everything is off by default.
struct Mischief {
    std::function<void(protocol::Message&)> alter; // a message about to be sent
    std::function<Bytes(Bytes)> replace; // ... or its bytes
    int drop_before = 0; // hangs up instead of receiving or sending this message
    int drop_after = 0;
    int hang_before = 0; // ... says nothing until the device hangs up
    const Certified* tls = nullptr; // instead of the own TLS certificate
    std::string alpn; // instead of the right one
    station::Required introductions = station::Required::never; // whom the station asks for one
};

class TestStation {
public:
    // The manufacturer's root etc. are `pki`'s; EKs are trusted by swtpm's CA or by allow().
    explicit TestStation(const TestPki& pki);
    ~TestStation();

    std::string address() const { return "unix:" + socket_.string(); }
    // For the next connections, until it is set again.
    void set(Mischief mischief);
    void allow(const std::string& chip);
    void give(station::PackageProfile profile) { station_.profile = std::move(profile); } // between connections
    station::Store& store() { return store_; } // while no connection is open
    int connections() const { return connections_; }
    // The conversations so far, as the station received and sent them.
    std::vector<Bytes> messages() const;

    // Serves one connected descriptor on the calling thread (for Fd links and relays).
    void serve(Fd connection);

private:
    void run(const std::stop_token& stop);
    void converse(SSL* tls, const Mischief& mischief);

    TemporaryDirectory directory_;
    std::filesystem::path socket_;
    station::Station station_;
    station::Store store_;
    station::Introductions introductions_;
    Certified tls_;
    pki::Certificate root_;
    Fd listener_;
    Fd stop_event_;
    std::atomic<int> connections_ = 0;
    mutable std::mutex mutex_; // guards the next two
    Mischief mischief_;
    std::vector<Bytes> messages_;
    std::jthread thread_;
};

// Sits between a device and a station, on another Unix socket: cuts or falsifies what goes through.
class Relay {
public:
    // `limit`: bytes from the station that get through in the first connection; `flip`: the byte of them that is
    // changed.
    Relay(const std::string& station, std::size_t limit, std::optional<std::size_t> flip = std::nullopt);
    ~Relay();
    std::string address() const { return "unix:" + socket_.string(); }
    std::size_t passed() const { return passed_; } // bytes from the station

private:
    void run();
    void forward(int device, int station);

    std::string station_;
    std::size_t limit_;
    std::optional<std::size_t> flip_;
    TemporaryDirectory directory_;
    std::filesystem::path socket_;
    Fd listener_;
    Fd stop_event_;
    std::atomic<std::size_t> passed_ = 0;
    std::jthread thread_;
};

} // namespace imprint::test
