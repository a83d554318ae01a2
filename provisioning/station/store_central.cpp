// SPDX-License-Identifier: Apache-2.0
#include "provisioning/protocol/central_set.h"
#include "provisioning/station/store.h"
#include "provisioning/station/store_sql.h"

namespace imprint::station {

std::vector<CentralEntry> Store::central_keys()
{
    SQLite::Statement query(database_, "SELECT spki, name, cross_certificate FROM central_keys ORDER BY id");
    return sql::rows(query, [](SQLite::Statement& row) -> CentralEntry {
        return {sql::blob(row.getColumn(0)), row.getColumn(1), sql::blob(row.getColumn(2))};
    });
}

Verdict Store::set_central_key(const CentralEntry& entry)
{
    const auto keys = central_keys();
    const bool known = std::ranges::find(keys, entry.spki, &CentralEntry::spki) != keys.end();
    if (!known && keys.size() == protocol::max_central_keys)
        return Refusal{Reason::central_set_invalid,
                       "there are four keys already: remove one that is not used any more"};
    SQLite::Statement upsert(database_,
                             "INSERT INTO central_keys (spki, name, cross_certificate) VALUES (?1, ?2, ?3) "
                             "ON CONFLICT (spki) DO UPDATE SET name = ?2, cross_certificate = "
                             "CASE WHEN length(?3) > 0 THEN ?3 ELSE cross_certificate END");
    sql::bind(upsert, 1, entry.spki);
    upsert.bind(2, entry.name);
    sql::bind(upsert, 3, entry.cross_certificate);
    upsert.exec();
    return accepted();
}

bool Store::remove_central_key(BytesView spki)
{
    SQLite::Statement remove(database_, "DELETE FROM central_keys WHERE spki = ?");
    sql::bind(remove, 1, spki);
    return remove.exec() == 1;
}

std::uint64_t Store::central_number()
{
    return static_cast<std::uint64_t>(database_.execAndGet("SELECT number FROM central_number").getInt64());
}

std::uint64_t Store::raise_central_number(pki::Time now)
{
    SQLite::Statement update(database_, "UPDATE central_number SET number = max(number + 1, ?) RETURNING number");
    update.bind(1, seconds(now));
    update.executeStep();
    return static_cast<std::uint64_t>(update.getColumn(0).getInt64());
}

} // namespace imprint::station
