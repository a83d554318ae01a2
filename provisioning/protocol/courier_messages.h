// SPDX-License-Identifier: Apache-2.0
// The messages between an operator's program and the station; messages.proto has them.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/error.h"
#include "provisioning/protocol/messages.pb.h"

namespace imprint::protocol {

inline constexpr std::string_view courier_alpn = "imprint-courier/1";
inline constexpr std::uint16_t default_operations_port = 7445;

// Strict: no unknown fields, exactly one body, re-serializes to the same bytes; at most max_message bytes (framing.h).
Result<CourierMessage> parse_courier_message(BytesView body);

CourierMessage courier_refused(const Refusal& refusal);

// Whether this may be the reason that an operator gives: 1 to 128 characters of printable ASCII.
bool is_introduction_reason(std::string_view text);
// Whether a device may be sent to this address: empty, or 1 to 255 characters of printable ASCII without spaces.
bool is_station_address(std::string_view text);

} // namespace imprint::protocol
