// SPDX-License-Identifier: Apache-2.0
// Which TPMs a station believes in: those whose vendor certified the endorsement key, and those whose key's digest the
// operator imported. There is no third way, and none for a key that anybody can factor.
#pragma once

#include "daemon/pki/verify.h"
#include "provisioning/protocol/messages.pb.h"

#include <tss2/tss2_tpm2_types.h>

#include <functional>
#include <string>

namespace imprint::station {

struct Endorsement {
    TPMT_PUBLIC area{};
    std::string chip; // chip identifier: the digest of this key
};

// The key's area in one of the TCG's templates, and its digest. Refusal(malformed_message | untrusted_endorsement_key).
Result<Endorsement> read_endorsement(const protocol::EndorsementKey& key);

// A certificate counts only for the very key of the area. Refusal(untrusted_endorsement_key).
Verdict check_endorsement(const protocol::EndorsementKey& key, const Endorsement& read, const pki::Trust& vendors,
                          bool on_allow_list);

} // namespace imprint::station
