// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/store.h"
#include "provisioning/station/store_sql.h"

namespace imprint::station {

namespace {

constexpr int audit_columns = 7;

NumberedAudit read_audit(SQLite::Statement& query)
{
    return {static_cast<std::uint64_t>(query.getColumn(0).getInt64()),
            {from_seconds(query.getColumn(1)), query.getColumn(2), query.getColumn(3), query.getColumn(4),
             query.getColumn(5), query.getColumn(audit_columns - 1)}};
}

RevocationList read_list(SQLite::Statement& query)
{
    return {query.getColumn(0).getString(), static_cast<std::uint64_t>(query.getColumn(1).getInt64()),
            sql::blob(query.getColumn(2))};
}

} // namespace

std::string Store::database_id() { return database_.execAndGet("SELECT id FROM database_id").getString(); }

std::vector<RecordEntry> Store::record_names()
{
    SQLite::Statement query(database_,
                            "SELECT chip, sequence, content_digest, time, outbox.rowid FROM records "
                            "JOIN outbox USING (chip, sequence) ORDER BY outbox.rowid");
    return sql::rows(query, [](SQLite::Statement& row) -> RecordEntry {
        return {row.getColumn(0),
                static_cast<std::uint64_t>(row.getColumn(1).getInt64()),
                sql::blob(row.getColumn(2)),
                {},
                from_seconds(row.getColumn(3)),
                row.getColumn(4).getInt64()};
    });
}

std::optional<GrantEntry> Store::received_grant(const std::string& chip, std::uint64_t sequence)
{
    SQLite::Statement query(database_,
                            "SELECT serial, module_certificate, time FROM grants "
                            "WHERE chip = ? AND sequence = ? AND state = 'received'");
    SQLite::bind(query, chip, static_cast<std::int64_t>(sequence));
    if (!query.executeStep())
        return std::nullopt;
    return GrantEntry{
        query.getColumn(0), chip, sequence, sql::blob(query.getColumn(1)), from_seconds(query.getColumn(2)), {}};
}

void Store::put_revocation_list(const RevocationList& list)
{
    SQLite::Statement insert(database_,
                             "INSERT OR REPLACE INTO revocation_lists (station, number, pem) VALUES (?, ?, ?)");
    SQLite::bind(insert, list.station, static_cast<std::int64_t>(list.number));
    sql::bind(insert, 3, list.pem);
    insert.exec();
}

std::optional<RevocationList> Store::revocation_list(const std::string& station)
{
    SQLite::Statement query(database_, "SELECT station, number, pem FROM revocation_lists WHERE station = ?");
    query.bind(1, station);
    return query.executeStep() ? std::optional(read_list(query)) : std::nullopt;
}

std::vector<RevocationList> Store::revocation_lists()
{
    SQLite::Statement query(database_, "SELECT station, number, pem FROM revocation_lists ORDER BY station");
    return sql::rows(query, read_list);
}

std::vector<NumberedAudit> Store::own_audit(std::uint64_t first, std::size_t limit)
{
    SQLite::Statement query(database_,
                            "SELECT id, time, event, chip, peer, reason, detail FROM audit "
                            "WHERE origin = '' AND id >= ? ORDER BY id LIMIT ?");
    SQLite::bind(query, static_cast<std::int64_t>(first), static_cast<std::int64_t>(limit));
    return sql::rows(query, read_audit);
}

std::size_t Store::count_own_audit(std::uint64_t first)
{
    SQLite::Statement query(database_, "SELECT count(*) FROM audit WHERE origin = '' AND id >= ?");
    query.bind(1, static_cast<std::int64_t>(first));
    query.executeStep();
    return static_cast<std::size_t>(query.getColumn(0).getInt64());
}

std::uint64_t Store::newest_audit_of(const Origin& origin)
{
    SQLite::Statement query(database_,
                            "SELECT coalesce(max(origin_id), 0) FROM audit WHERE origin = ? AND origin_database = ?");
    SQLite::bind(query, origin.station, origin.database);
    query.executeStep();
    return static_cast<std::uint64_t>(query.getColumn(0).getInt64());
}

std::optional<AuditEntry> Store::audit_of(const Origin& origin, std::uint64_t id)
{
    SQLite::Statement query(database_,
                            "SELECT id, time, event, chip, peer, reason, detail FROM audit "
                            "WHERE origin = ? AND origin_database = ? AND origin_id = ?");
    SQLite::bind(query, origin.station, origin.database, static_cast<std::int64_t>(id));
    if (!query.executeStep())
        return std::nullopt;
    return read_audit(query).entry;
}

void Store::add_audit_of(const Origin& origin, const NumberedAudit& audit)
{
    const auto& entry = audit.entry;
    SQLite::Statement insert(database_,
                             "INSERT INTO audit (time, event, chip, peer, reason, detail, origin, origin_database, "
                             "origin_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    SQLite::bind(insert, seconds(entry.time), entry.event, entry.chip, entry.peer, entry.reason, entry.detail,
                 origin.station, origin.database, static_cast<std::int64_t>(audit.id));
    insert.exec();
}

bool Store::add_conflict(const ConflictEntry& conflict)
{
    SQLite::Statement insert(database_,
                             "INSERT OR IGNORE INTO conflicts (time, origin, kind, name, reason, detail, digest, "
                             "content) VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    SQLite::bind(insert, seconds(conflict.time), conflict.station, conflict.kind, conflict.name, conflict.reason,
                 conflict.detail);
    sql::bind(insert, 7, conflict.digest);
    sql::bind(insert, 8, conflict.content);
    return insert.exec() == 1;
}

void Store::settle_conflict(const std::string& station, BytesView digest)
{
    SQLite::Statement update(database_, "UPDATE conflicts SET settled = 1 WHERE origin = ? AND digest = ?");
    update.bind(1, station);
    sql::bind(update, 2, digest);
    update.exec();
}

std::vector<ConflictEntry> Store::conflicts()
{
    SQLite::Statement query(database_,
                            "SELECT time, origin, kind, name, reason, detail, digest, content FROM conflicts "
                            "WHERE settled = 0 ORDER BY id");
    return sql::rows(query, [](SQLite::Statement& row) -> ConflictEntry {
        return {from_seconds(row.getColumn(0)),
                row.getColumn(1),
                row.getColumn(2),
                row.getColumn(3),
                row.getColumn(4),
                row.getColumn(5),
                sql::blob(row.getColumn(6)),
                sql::blob(row.getColumn(7))};
    });
}

} // namespace imprint::station
