// SPDX-License-Identifier: Apache-2.0
// The messages by which a device gets its transaction key; messages.proto has them.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/error.h"
#include "provisioning/protocol/messages.pb.h"

namespace imprint::protocol {

// Strict: no unknown fields, exactly one body, re-serializes to the same bytes; at most max_message bytes (framing.h).
Result<KeyMessage> parse_key_message(BytesView body);

KeyMessage key_refused(const Refusal& refusal);

} // namespace imprint::protocol
