// SPDX-License-Identifier: Apache-2.0
// An address between a device and its station: connections are taken at once and passed on when the test says so.
#pragma once

#include "daemon/base/file.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace imprint::test {

class Relay {
public:
    Relay();
    ~Relay();
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;

    std::string address() const { return address_; }
    void open(const std::string& station); // "127.0.0.1:port": from now on
    std::size_t passed() const { return passed_; } // bytes, both ways

private:
    void serve();
    void join(Fd device);

    Fd listener_;
    Fd stop_; // an eventfd
    Fd opened_; // an eventfd
    std::string address_;
    std::string station_; // set before opened_ is written
    std::atomic<std::size_t> passed_{0};
    std::vector<std::jthread> connections_; // serve()'s
    std::jthread thread_;
};

} // namespace imprint::test
