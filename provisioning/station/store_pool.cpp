// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/store.h"
#include "provisioning/station/store_sql.h"

namespace imprint::station {

namespace {

std::optional<PooledPair> read_pair(SQLite::Statement& query)
{
    if (!query.executeStep())
        return std::nullopt;
    return PooledPair{query.getColumn(0), query.getColumn(1), sql::blob(query.getColumn(2))};
}

} // namespace

void Store::add_pair(const PooledPair& pair)
{
    SQLite::Statement insert(database_, "INSERT INTO pool (id, kind, sealed) VALUES (?, ?, ?)");
    SQLite::bind(insert, pair.id, pair.kind);
    sql::bind(insert, 3, pair.sealed);
    insert.exec();
}

std::optional<PooledPair> Store::newest_pair()
{
    SQLite::Statement query(database_, "SELECT id, kind, sealed FROM pool ORDER BY rowid DESC LIMIT 1");
    return read_pair(query);
}

std::optional<PooledPair> Store::take_pair(const std::string& kind, const std::string& chip, std::uint64_t sequence)
{
    SQLite::Statement update(database_,
                             "UPDATE pool SET chip = ?2, sequence = ?3 WHERE rowid = "
                             "(SELECT rowid FROM pool WHERE kind = ?1 AND chip IS NULL ORDER BY rowid LIMIT 1) "
                             "RETURNING id, kind, sealed");
    SQLite::bind(update, kind, chip, static_cast<std::int64_t>(sequence));
    return read_pair(update);
}

std::size_t Store::free_pairs(const std::string& kind)
{
    SQLite::Statement query(database_, "SELECT count(*) FROM pool WHERE kind = ? AND chip IS NULL");
    query.bind(1, kind);
    query.executeStep();
    return query.getColumn(0).getUInt();
}

std::vector<PoolCount> Store::pool_counts()
{
    SQLite::Statement query(
        database_, "SELECT kind, sum(chip IS NULL), sum(chip IS NOT NULL) FROM pool GROUP BY kind ORDER BY kind");
    return sql::rows(query, [](SQLite::Statement& row) -> PoolCount {
        return {row.getColumn(0), row.getColumn(1).getUInt(), row.getColumn(2).getUInt()};
    });
}

std::size_t Store::drain_pairs(const std::string& kind)
{
    SQLite::Statement remove(database_, "DELETE FROM pool WHERE kind = ? AND chip IS NULL");
    remove.bind(1, kind);
    removed_ = true;
    return static_cast<std::size_t>(remove.exec());
}

std::optional<DeliveredPairs> Store::delivered_pairs(std::int64_t after)
{
    // A grant whose record is here is not open any more; a record of this sequence may also come from another station.
    SQLite::Statement query(database_,
                            "SELECT pool.rowid, pool.chip, pool.sequence, outbox.receipt FROM pool "
                            "JOIN grants ON grants.serial = pool.serial AND grants.state <> 'open' "
                            "JOIN outbox ON outbox.chip = pool.chip AND outbox.sequence = pool.sequence "
                            "AND outbox.state = 'delivered' WHERE pool.rowid > ? ORDER BY pool.rowid LIMIT 1");
    query.bind(1, after);
    if (!query.executeStep())
        return std::nullopt;
    return DeliveredPairs{.place = query.getColumn(0).getInt64(),
                          .chip = query.getColumn(1),
                          .sequence = static_cast<std::uint64_t>(query.getColumn(2).getInt64()),
                          .receipt = sql::blob(query.getColumn(3))};
}

std::size_t Store::remove_pairs(const std::string& chip, std::uint64_t sequence)
{
    SQLite::Statement remove(database_, "DELETE FROM pool WHERE chip = ? AND sequence = ?");
    SQLite::bind(remove, chip, static_cast<std::int64_t>(sequence));
    removed_ = true;
    return static_cast<std::size_t>(remove.exec());
}

bool Store::leave_no_trace()
{
    if (!removed_)
        return true;
    // The log holds pages as they were before. Its first column tells whether somebody's reading was in the way.
    removed_ = database_.execAndGet("PRAGMA wal_checkpoint(TRUNCATE)").getInt() != 0;
    return !removed_;
}

} // namespace imprint::station
