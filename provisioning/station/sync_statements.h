// SPDX-License-Identifier: Apache-2.0
// What becomes of a statement that another station brings: it is signed, and believed for its signature.
#pragma once

#include "provisioning/station/sync_judgement.h"

namespace imprint::station {

// A device goes on with another chip, as if it had been said here: what this station granted the former chip is
// revoked.
Judgement judge_replacement(Store& store, const pki::Trust& trust, const protocol::SyncReplacement& item);

// The list of a station with the name of whoever brings it; an older one than there is changes nothing.
Judgement judge_revocations(Store& store, const pki::Trust& trust, const Origin& origin,
                            const protocol::SyncRevocations& item);

bool has(Store& store, const protocol::ReplacementName& replacement);

// The newest list of this station, with what it takes to check it.
protocol::SyncRevocations message_of(const pki::Crl& list, const pki::Certificates& signing);

// What the station that is at the other end is still to revoke: by the list that it brought last.
std::vector<std::string> to_be_revoked(Store& store, const std::string& station);

} // namespace imprint::station
