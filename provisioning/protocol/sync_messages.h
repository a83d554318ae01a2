// SPDX-License-Identifier: Apache-2.0
// The messages of a synchronization (sync.proto), framed like those of a personalization with a limit of their own.
#pragma once

#include "provisioning/protocol/framing.h"
#include "provisioning/protocol/sync.pb.h"

namespace imprint::protocol {

inline constexpr std::string_view sync_alpn = "imprint-sync/1";
inline constexpr std::size_t max_sync_message = 1024 * 1024; // a record alone may have 256 KiB
inline constexpr int max_sync_items = 256;
inline constexpr int max_offered = 4096; // records, introductions and replacements in one offer
inline constexpr int max_revoked = 4096; // serials in one answer to an offer

// taken: it is there now; known: it was there already; conflict: something else is there, both are kept, an operator
// has to look; refused: it does not hold, and nothing of it was kept.
enum class SyncOutcome : std::uint32_t { taken = 1, known = 2, conflict = 3, refused = 4 };

// Strict, as protocol::parse(). Counts, sizes, names, numbers and times are checked too: Refusal(malformed_message |
// message_too_large).
Result<SyncMessage> parse_sync(BytesView body);
SyncMessage sync_refused(const Refusal& refusal);

} // namespace imprint::protocol
