// SPDX-License-Identifier: Apache-2.0
// Messages on a byte stream: a 32-bit big-endian length, then that many bytes of Protocol Buffers.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/error.h"
#include "daemon/protobuf/canonical.h"
#include "provisioning/protocol/messages.pb.h"

#include <array>

namespace imprint::protocol {

inline constexpr std::string_view alpn = "imprint/1";
inline constexpr std::uint32_t version = 1;
inline constexpr std::uint16_t default_port = 7443;
inline constexpr std::size_t max_message = 256 * 1024;

// The length of the message that a header announces: message_too_large above `limit`, malformed_message for zero.
Result<std::size_t> announced_length(std::array<std::uint8_t, 4> header, std::size_t limit = max_message);

// Header and body. Throws Error(message_too_large).
Bytes frame(BytesView body, std::size_t limit = max_message);

using protobuf::serialize;
// Strict: no unknown fields, exactly one body, re-serializes to the same bytes.
Result<Message> parse(BytesView body);

Message refused(const Refusal& refusal);
// The refusal in a Refused message; an unknown reason number becomes Reason::internal. Control characters in the
// detail become '?', so that it can be shown and logged.
Refusal refusal_of(const Refused& refused);

} // namespace imprint::protocol
