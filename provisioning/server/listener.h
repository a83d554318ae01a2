// SPDX-License-Identifier: Apache-2.0
// Listening sockets with a cap on their connections. Includes Asio and Beast: for few translation units.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/beast/core/basic_stream.hpp>

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>

namespace imprint::server {

// TCP or Unix. Its expires_after() is the deadline of the next operations: they end with beast::error::timeout.
using Stream = boost::beast::basic_stream<boost::asio::generic::stream_protocol, boost::asio::any_io_executor>;

// What tells one client from another: an IPv4 address, or the 64 bits of an IPv6 address that a network gives out as
// one; empty for a Unix socket, behind which there may be anybody.
std::string client_of(const boost::asio::ip::address& address);
std::string client_of(Stream& stream);

class Listener {
public:
    // `peer` is for logs: "192.0.2.1:4711", "[2001:db8::1]:4711", "unix:uid=1000".
    using Handler = std::function<boost::asio::awaitable<void>(Stream stream, std::string peer)>;

    // "host:port", "[v6]:port", ":port" (every interface), "unix:/path" (a socket left over there is replaced) or
    // "systemd:NAME" (a socket that the service manager handed over under this name). Port 0 takes any. Throws
    // Error(invalid_argument | not_configured) if it cannot be listened on.
    Listener(const boost::asio::any_io_executor& executor, const std::string& address, std::size_t max_connections,
             std::size_t max_per_client = std::numeric_limits<std::size_t>::max());
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    std::string address() const; // as bound
    // Accepts until close(). At the cap it leaves further connections in the kernel's queue until one ends: each
    // handler keeps deadlines. Where somebody waits there, `crowded` may end a connection that is worth less.
    // A client's connections beyond its own cap are closed at once. What a handler throws ends its own connection, and
    // is logged.
    void start(Handler handler, std::function<void()> crowded = {});
    void close();

private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

// One connection from beginning to end: what the handler throws is logged.
boost::asio::awaitable<void> handle(const Listener::Handler& handler, Stream stream, std::string peer);

} // namespace imprint::server
