// SPDX-License-Identifier: Apache-2.0
// What becomes of one item that another station brings. Records prove themselves; introductions and audit entries are
// believed, the latter under the name of the station that brings them.
#pragma once

#include "daemon/pki/verify.h"
#include "provisioning/protocol/sync_messages.h"
#include "provisioning/station/store.h"

namespace imprint::station {

struct Judgement {
    protocol::SyncOutcome outcome = protocol::SyncOutcome::taken;
    std::string kind, name; // as a ConflictEntry has them
    std::string chip; // empty where there is none
    Refusal why; // of a conflict or a refusal
    std::vector<std::string> revoked; // module certificates that it was the end of
};

// Takes the item if nothing stands in its way, and changes nothing otherwise. The caller keeps a transaction of the
// store around it.
Judgement judge(Store& store, const pki::Trust& trust, const Origin& origin, const protocol::SyncItem& item);

// An audit entry as it travels.
protocol::SyncAudit message_of(const NumberedAudit& audit);
Bytes digest_of(const protocol::SyncAudit& audit);

// Whether this very thing is here, as far as its name tells.
bool has(Store& store, const protocol::RecordName& record);
bool has(Store& store, const protocol::UseName& use);

} // namespace imprint::station
