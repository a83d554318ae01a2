// SPDX-License-Identifier: Apache-2.0
// What the store's own files share.
#pragma once

#include "provisioning/server/sql.h"
#include "provisioning/station/store.h"

namespace imprint::station {

namespace sql = server::sql;

// Of: time, event, chip, peer, reason, detail, origin.
AuditEntry read_audit_entry(SQLite::Statement& row);

} // namespace imprint::station
