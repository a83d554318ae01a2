// SPDX-License-Identifier: Apache-2.0
// One conversation between descriptors and a handler; for line.cpp.
#pragma once

#include "provisioning/server/line.h"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <optional>

namespace imprint::server {

using Descriptor = boost::asio::posix::stream_descriptor;

// Gives up a read or a write that takes too long: cancels what the descriptor waits for.
class Patience {
public:
    explicit Patience(Descriptor& descriptor);
    ~Patience() { stop(); }
    Patience(const Patience&) = delete;
    Patience& operator=(const Patience&) = delete;
    void start(std::chrono::milliseconds limit);
    void stop();

private:
    Descriptor& descriptor_;
    boost::asio::steady_timer timer_;
    std::shared_ptr<bool> running_; // shared with the timer's handler, which may be on its way already
};

class Bridge : public std::enable_shared_from_this<Bridge> {
public:
    // Borrows both, which may not be one: each is cancelled for itself. `pause`: how long the peer may stop in the
    // middle of a TLS record.
    Bridge(Descriptor& in, Descriptor& out, std::optional<std::chrono::milliseconds> pause);
    // Until the handler has ended and what it wrote is out, or cannot get out.
    boost::asio::awaitable<void> run(const Listener::Handler& handler, std::string peer);

private:
    boost::asio::awaitable<void> inbound();
    boost::asio::awaitable<void> outbound();
    boost::asio::awaitable<bool> write_out(BytesView data);

    Descriptor& in_;
    Descriptor& out_;
    std::optional<std::chrono::milliseconds> pause_;
    boost::asio::generic::stream_protocol::socket ours_;
    boost::asio::steady_timer ended_; // never expires: cancelled when inbound() has ended
    bool inbound_ended_ = false;
};

} // namespace imprint::server
