// SPDX-License-Identifier: Apache-2.0
// Finds the record that a device needs: in an archive, in a mirror, or in somebody's hand.
#pragma once

#include "backup/recovery/restore.h"
#include "daemon/tls/stream.h"

namespace imprint::recovery {

// The right record of an archive or mirror, checked. Where `wanted` leaves the sequence open, the archive has to sign
// which record is its newest, in answer to a nonce of ours. The refusals of check_record(); record_not_found;
// newest_unproven where the archive has a record, but not the word, or another record than its word names. Throws what
// fetch.h throws.
Result<package::Record> find_record(const std::string& archive, const Wanted& wanted, const pki::Trust& trust,
                                    pki::Time now, tls::Deadline deadline, const tls::Cancel& cancel);

// A record that was handed in. Where `wanted` leaves the sequence open, nobody has said that it is the newest:
// Refusal(newest_unproven).
Result<package::Record> take_record(BytesView bytes, const Wanted& wanted, const pki::Trust& trust);

} // namespace imprint::recovery
