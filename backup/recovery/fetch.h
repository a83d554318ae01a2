// SPDX-License-Identifier: Apache-2.0
// Asks a public archive or a mirror of it for a record: plain HTTP, for records prove themselves.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/error.h"
#include "daemon/tls/stream.h"

#include <optional>
#include <string>

namespace imprint::recovery {

// The record of this chip with this sequence, or the newest one, unchecked; at most package::max_record bytes.
// `archive` is "http://host:port", with the path of a mirror where it has one ("http://host/imprint").
// Refusal(record_not_found) where it has none; throws Error(invalid_argument | connection_refused | connection_lost |
// timed_out | cancelled).
Result<Bytes> fetch_record(const std::string& archive, const std::string& chip_identifier,
                           std::optional<std::uint64_t> sequence, tls::Deadline deadline, const tls::Cancel& cancel);
// The archive's word which record of this chip is its newest (package::open_newest), unchecked. The same failures; a
// mirror has no such word: record_not_found.
Result<Bytes> fetch_newest(const std::string& archive, const std::string& chip_identifier, BytesView nonce,
                           tls::Deadline deadline, const tls::Cancel& cancel);

} // namespace imprint::recovery
