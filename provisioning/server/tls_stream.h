// SPDX-License-Identifier: Apache-2.0
// A TLS connection that a server accepted: handshake, messages with their deadlines, farewell. Includes Asio and Beast:
// for few translation units. What the network does is thrown as boost::system::system_error.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/error.h"
#include "provisioning/protocol/framing.h"
#include "provisioning/server/listener.h"

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>

#include <chrono>
#include <optional>

namespace imprint::server {

using TlsStream = boost::asio::ssl::stream<Stream>;

// The handshake. Why it failed, where somebody refused something or let the time pass; a peer that goes away without a
// word (a port scan, a look whether the server is there) is an exception.
boost::asio::awaitable<std::optional<Refusal>> accept_tls(TlsStream& stream, std::chrono::seconds limit);

// A message of provisioning/protocol/framing.h: its bytes, or the reason why its length alone was refused.
boost::asio::awaitable<Result<Bytes>> read_message(TlsStream& stream, std::chrono::seconds limit,
                                                   std::size_t max_size = protocol::max_message);
boost::asio::awaitable<void> write_message(TlsStream& stream, BytesView message, std::chrono::seconds limit,
                                           std::size_t max_size = protocol::max_message);

// Ends this side's half of the connection, and nothing else: async_shutdown() would wait for the peer's end and throw
// away what it still sends. No write may be in progress.
boost::asio::awaitable<void> close_half(TlsStream& stream);

// The peer closes first; who does not within five seconds is cut off.
boost::asio::awaitable<void> leave(TlsStream& stream);

// timed_out or connection_lost.
Refusal refusal_of(const boost::system::error_code& error);

} // namespace imprint::server
