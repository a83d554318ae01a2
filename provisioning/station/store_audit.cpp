// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/store.h"
#include "provisioning/station/store_sql.h"

namespace imprint::station {

std::vector<AuditEntry> Store::begin_moving_audit(pki::Time before)
{
    SQLite::Statement choose(
        database_,
        "INSERT INTO audit_leaving SELECT id FROM audit WHERE time < ? AND id < (SELECT max(id) FROM audit) AND "
        "CASE origin WHEN '' THEN "
        "(SELECT audit_synchronized.id = 0 OR audit.id < audit_synchronized.id FROM audit_synchronized) ELSE "
        "origin_id < (SELECT max(newer.origin_id) FROM audit newer WHERE newer.origin = audit.origin AND "
        "newer.origin_database = audit.origin_database) END");
    choose.bind(1, seconds(before));
    choose.exec();
    SQLite::Statement query(database_,
                            "SELECT time, event, chip, peer, reason, detail, origin FROM audit "
                            "JOIN audit_leaving USING (id) ORDER BY id");
    return sql::rows(query, read_audit_entry);
}

void Store::remove_moved_audit()
{
    database_.exec("DELETE FROM audit WHERE id IN (SELECT id FROM audit_leaving); DELETE FROM audit_leaving");
}

void Store::audit_is_synchronized(std::uint64_t id)
{
    SQLite::Statement update(database_, "UPDATE audit_synchronized SET id = max(id, ?)");
    update.bind(1, static_cast<std::int64_t>(id));
    update.exec();
}

} // namespace imprint::station
