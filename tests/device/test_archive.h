// SPDX-License-Identifier: Apache-2.0
// A public archive reduced to its answers: plain HTTP on a loopback port, for one request a connection.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/file.h"
#include "tests/support/test_pki.h"

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

namespace imprint::test {

class TestArchive {
public:
    TestArchive();
    ~TestArchive();
    std::string address() const { return "http://127.0.0.1:" + std::to_string(port_); }

    // A record by its sequence and as the newest of its chip, which `signer` vouches for.
    void publish(const std::string& chip, std::uint64_t sequence, const Bytes& record, const Certified& signer);
    // As a mirror: what is published stays, the word on the newest does not.
    void vouch_no_more();
    // Somebody in between: every question gets this answer.
    void answer_newest(std::function<Bytes(const std::string& chip, BytesView nonce)> answer);
    // What GET of this path gets; anything else gets 404.
    void put(const std::string& path, Bytes body);
    void put_raw(const std::string& path, const std::string& response);
    void hang() { hang_ = true; } // takes connections and says nothing
    std::string last_request() const;

private:
    void run();
    std::string response_to(const std::string& request);
    std::optional<Bytes> word_on(const std::string& target) const;

    Fd listener_;
    Fd stop_event_;
    std::uint16_t port_ = 0;
    std::atomic<bool> hang_ = false;
    mutable std::mutex mutex_; // guards the next three
    std::function<Bytes(const std::string& chip, BytesView nonce)> newest_;
    std::map<std::string, std::string> responses_;
    std::string last_request_;
    std::jthread thread_;
};

} // namespace imprint::test
