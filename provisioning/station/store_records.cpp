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
    SQLite::Statement query(database_,
                            "SELECT chip, sequence, state, attempts, next_attempt, last_error FROM outbox "
                            "WHERE state <> 'delivered' OR ? ORDER BY rowid");
    query.bind(1, with_delivered ? 1 : 0);
    std::vector<OutboxEntry> entries;
    while (query.executeStep())
        entries.push_back(read_entry(query));
    return entries;
}

std::optional<OutboxEntry> Store::next_delivery()
{
    SQLite::Statement query(database_,
                            "SELECT chip, sequence, state, attempts, next_attempt, last_error FROM outbox "
                            "WHERE state = 'waiting' ORDER BY next_attempt, rowid LIMIT 1");
    if (!query.executeStep())
        return std::nullopt;
    return read_entry(query);
}

void Store::delivered(const OutboxEntry& entry, BytesView receipt)
{
    SQLite::Statement update(database_,
                             "UPDATE outbox SET state = 'delivered', attempts = attempts + 1, last_error = '', "
                             "receipt = ?3 WHERE chip = ?1 AND sequence = ?2");
    SQLite::bind(update, entry.chip, static_cast<std::int64_t>(entry.sequence));
    sql::bind(update, 3, receipt);
    update.exec();
}

void Store::failed(const OutboxEntry& entry, Delivery state, pki::Time next_attempt, const std::string& error)
{
    SQLite::Statement update(database_,
                             "UPDATE outbox SET state = ?3, attempts = attempts + 1, next_attempt = ?4, "
                             "last_error = ?5 WHERE chip = ?1 AND sequence = ?2");
    SQLite::bind(update, entry.chip, static_cast<std::int64_t>(entry.sequence), std::string(name(state)),
                 seconds(next_attempt), error);
    update.exec();
}

} // namespace imprint::station
