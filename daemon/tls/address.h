// SPDX-License-Identifier: Apache-2.0
// Addresses as an operator writes them, and what they resolve to.
#pragma once

#include "daemon/tls/stream.h"

#include <sys/socket.h>

#include <functional>
#include <string>
#include <vector>

namespace imprint::tls {

struct Address {
    std::string host; // name or number, without brackets; empty for a Unix socket
    std::uint16_t port = 0;
    std::string path; // of a Unix socket
};

// "host", "host:port", "[v6]", "[v6]:port", "unix:/path". Throws Error(invalid_argument).
Address parse_address(const std::string& text, std::uint16_t default_port);

// An IPv4 or IPv6 address (no zone), as certificates name it.
bool is_numeric(const std::string& host);

// A socket address ready for connect(2).
struct Endpoint {
    sockaddr_storage address{};
    socklen_t size = 0;
};
using Endpoints = std::vector<Endpoint>;

// Asks the resolver and waits as long as that takes. Throws Error(connection_refused).
Endpoints look_up(const Address& address);

// The endpoints of an address. A host name is looked up in a thread of its own, which is left behind if the deadline or
// the cancellation comes first (resolvers cannot be interrupted); it touches nothing but its own state.
using LookUp = std::function<Endpoints(const Address& address)>;
Endpoints resolve(const Address& address, Deadline deadline, const Cancel& cancel, const LookUp& names);

// One after the other, each with its share of the time that is left, until one answers; `address` is for the words.
Fd connect_to_any(const Endpoints& endpoints, const std::string& address, Deadline deadline, const Cancel& cancel);

} // namespace imprint::tls
