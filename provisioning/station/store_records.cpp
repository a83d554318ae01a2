// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/store.h"
#include "provisioning/station/store_sql.h"

namespace imprint::station {

namespace {

OutboxEntry read_entry(SQLite::Statement& query)
{
    const std::string state = query.getColumn(2);
    return {.chip = query.getColumn(0),
            .sequence = static_cast<std::uint64_t>(query.getColumn(1).getInt64()),
            .state = state == "delivered" ? Delivery::delivered
                : state == "conflict"     ? Delivery::conflict
                                          : Delivery::waiting,
            .attempts = query.getColumn(3).getUInt(),
            .next_attempt = from_seconds(query.getColumn(4)),
            .last_error = query.getColumn(5)};
}

} // namespace

std::string_view name(Delivery delivery)
{
    switch (delivery) {
    case Delivery::waiting:
        return "waiting";
    case Delivery::delivered:
        return "delivered";
    case Delivery::conflict:
        return "conflict";
    }
    return "";
}

void Store::add_record(const RecordEntry& record)
{
    const auto sequence = static_cast<std::int64_t>(record.sequence);
    SQLite::Statement insert(
        database_, "INSERT INTO records (chip, sequence, time, content_digest, record) VALUES (?, ?, ?, ?, ?)");
    SQLite::bind(insert, record.chip, sequence, seconds(record.time));
    sql::bind(insert, 4, record.content_digest);
    sql::bind(insert, 5, record.record);
    insert.exec();
    SQLite::Statement queue(database_, "INSERT INTO outbox (chip, sequence) VALUES (?, ?)");
    SQLite::bind(queue, record.chip, sequence);
    queue.exec();
}

std::optional<RecordEntry> Store::record(const std::string& chip, std::uint64_t sequence)
{
    SQLite::Statement query(database_,
                            "SELECT content_digest, record, time FROM records WHERE chip = ? AND sequence = ?");
    SQLite::bind(query, chip, static_cast<std::int64_t>(sequence));
    if (!query.executeStep())
        return std::nullopt;
    return RecordEntry{chip, sequence, sql::blob(query.getColumn(0)), sql::blob(query.getColumn(1)),
                       from_seconds(query.getColumn(2))};
}

std::vector<OutboxEntry> Store::outbox(bool with_delivered)
{
    SQLite::Statement query(
        database_,
        "SELECT chip, sequence, state, attempts, next_attempt, last_error, 2 * rowid AS place FROM outbox "
        "WHERE state <> 'delivered' OR ?1 UNION ALL "
        "SELECT present, 0, state, attempts, next_attempt, last_error, 2 * place + 1 FROM replacements "
        "WHERE state <> 'delivered' OR ?1 ORDER BY place");
    query.bind(1, with_delivered ? 1 : 0);
    return sql::rows(query, read_entry);
}

std::optional<OutboxEntry> Store::next_delivery()
{
    SQLite::Statement record(database_,
                             "SELECT chip, sequence, state, attempts, next_attempt, last_error, 2 * rowid FROM outbox "
                             "WHERE state = 'waiting' AND NOT EXISTS "
                             "(SELECT 1 FROM replacements WHERE present = chip AND replacements.state = 'waiting') "
                             "ORDER BY next_attempt, rowid LIMIT 1");
    SQLite::Statement replacement(
        database_,
        "SELECT present, 0, state, attempts, next_attempt, last_error, 2 * place + 1 FROM replacements "
        "WHERE state = 'waiting' AND NOT EXISTS "
        "(SELECT 1 FROM outbox WHERE chip = former AND outbox.state = 'waiting') "
        "ORDER BY next_attempt, place LIMIT 1");
    const bool records = record.executeStep(), replacements = replacement.executeStep();
    if (!records && !replacements)
        return std::nullopt;
    const auto turn = [](SQLite::Statement& query) {
        return std::pair(query.getColumn(4).getInt64(), query.getColumn(6).getInt64());
    };
    const bool record_first = records && (!replacements || turn(record) < turn(replacement));
    return read_entry(record_first ? record : replacement);
}

void Store::delivered(const OutboxEntry& entry, BytesView receipt)
{
    if (entry.sequence == 0) {
        SQLite::Statement update(database_,
                                 "UPDATE replacements SET state = 'delivered', attempts = attempts + 1, "
                                 "last_error = '' WHERE present = ?");
        update.bind(1, entry.chip);
        update.exec();
        return;
    }
    SQLite::Statement update(database_,
                             "UPDATE outbox SET state = 'delivered', attempts = attempts + 1, last_error = '', "
                             "receipt = ?3 WHERE chip = ?1 AND sequence = ?2");
    SQLite::bind(update, entry.chip, static_cast<std::int64_t>(entry.sequence));
    sql::bind(update, 3, receipt);
    update.exec();
}

void Store::failed(const OutboxEntry& entry, Delivery state, pki::Time next_attempt, const std::string& error)
{
    const std::string set = " SET state = ?3, attempts = attempts + 1, next_attempt = ?4, last_error = ?5 ";
    SQLite::Statement update(database_,
                             entry.sequence == 0 ? "UPDATE replacements" + set + "WHERE present = ?1 AND ?2 = 0"
                                                 : "UPDATE outbox" + set + "WHERE chip = ?1 AND sequence = ?2");
    SQLite::bind(update, entry.chip, static_cast<std::int64_t>(entry.sequence), std::string(name(state)),
                 seconds(next_attempt), error);
    update.exec();
}

} // namespace imprint::station
