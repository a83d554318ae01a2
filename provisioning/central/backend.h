// SPDX-License-Identifier: Apache-2.0
// Whom accepted connections are handed to: a TCP or Unix socket that speaks the PROXY protocol. Includes Asio: for few
// translation units.
#pragma once

#include "provisioning/server/tls_stream.h"

#include <chrono>
#include <string>
#include <vector>

namespace imprint::central {

class Backend {
public:
    // "host:port", "[v6]:port" or "unix:/path". A name is looked up here, once. Throws Error(invalid_argument |
    // not_configured).
    Backend(const boost::asio::any_io_executor& executor, const std::string& address);

    const std::string& address() const { return address_; }
    // Connects to the first of its addresses that answers. Throws boost::system::system_error.
    boost::asio::awaitable<server::Stream> connect(std::chrono::seconds limit) const;

private:
    boost::asio::any_io_executor executor_;
    std::string address_;
    std::vector<boost::asio::generic::stream_protocol::endpoint> endpoints_;
};

// What went through, for the log.
struct Relayed {
    std::uint64_t to_backend = 0;
    std::uint64_t to_device = 0;
    std::optional<Refusal> broken; // how it ended, where it was not both sides' end
};

// `header` to the backend, then bytes both ways until both sides have ended, or nothing moves for `idle`. The end of
// one direction is passed on as such. Never reads more than it can hand on.
boost::asio::awaitable<Relayed> relay(server::TlsStream& device, server::Stream& backend, BytesView header,
                                      std::chrono::seconds idle);

} // namespace imprint::central
