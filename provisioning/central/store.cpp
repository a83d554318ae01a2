// SPDX-License-Identifier: Apache-2.0
#include "provisioning/central/store.h"

#include "provisioning/server/database.h"
#include "provisioning/server/sql.h"

#include <array>

namespace imprint::central {

namespace {

using server::sql::bind;
using server::sql::blob;

constexpr std::array<std::string_view, 1> migrations{R"(
CREATE TABLE chips (chip TEXT PRIMARY KEY, epoch INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TRIGGER epochs_only_grow BEFORE UPDATE ON chips WHEN NEW.epoch <= OLD.epoch
  BEGIN SELECT RAISE(ABORT, 'an epoch never comes back'); END;

CREATE TABLE keys (
  number INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  chip TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  identity_kind TEXT NOT NULL,
  identity_value TEXT NOT NULL,
  made INTEGER NOT NULL,
  rotate_after INTEGER NOT NULL,
  not_after INTEGER NOT NULL,
  module_issuer BLOB NOT NULL,
  module_serial TEXT NOT NULL,
  station_issuer BLOB NOT NULL,
  station_serial TEXT NOT NULL,
  sealed BLOB NOT NULL
) STRICT;
CREATE INDEX keys_by_chip ON keys (chip, number);
CREATE INDEX keys_by_end ON keys (not_after);

CREATE TABLE revocation_lists (
  issuer BLOB PRIMARY KEY,
  number INTEGER NOT NULL,
  path TEXT NOT NULL,
  crl BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE seal_check (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), sealed BLOB NOT NULL) STRICT;
)"};

constexpr auto select_key = "SELECT id, chip, epoch, made, rotate_after, not_after, sealed, identity_kind,"
                            " identity_value, module_issuer, module_serial, station_issuer, station_serial FROM keys ";
constexpr auto remove_older_keys = "DELETE FROM keys WHERE chip = ? AND epoch < ?";
// The one that is being added, and the newest of the others.
constexpr auto remove_surplus_keys = "DELETE FROM keys WHERE chip = ?1 AND number NOT IN"
                                     " (SELECT number FROM keys WHERE chip = ?1 ORDER BY number DESC LIMIT ?2)";

constexpr std::int64_t keys_in_force = 2; // of a chip: the new one, and the one that connections were begun with

std::int64_t seconds(pki::Time time) { return time.time_since_epoch().count(); }
pki::Time time_of(const SQLite::Column& column) { return pki::Time(std::chrono::seconds(column.getInt64())); }
std::int64_t number_of(std::uint64_t epoch) { return static_cast<std::int64_t>(epoch); } // below 2^63: ModuleBinding

StoredKey read_key(SQLite::Statement& row)
{
    return {.id = blob(row.getColumn(0)),
            .chip = row.getColumn(1).getString(),
            .epoch = static_cast<std::uint64_t>(row.getColumn(2).getInt64()),
            .identity = {row.getColumn(7).getString(), row.getColumn(8).getString()},
            .made = time_of(row.getColumn(3)),
            .rotate_after = time_of(row.getColumn(4)),
            .not_after = time_of(row.getColumn(5)),
            .module = {blob(row.getColumn(9)), row.getColumn(10).getString()},
            .station = {blob(row.getColumn(11)), row.getColumn(12).getString()},
            .sealed = blob(row.getColumn(6))};
}

template <class F>
auto translated(F work)
try {
    return work();
} catch (const SQLite::Exception& e) {
    throw Error(Reason::storage_failed, std::string("the database: ") + e.what());
}

Refusal outdated(std::uint64_t epoch, std::uint64_t newest)
{
    return {Reason::certificate_outdated,
            "a certificate of epoch " + std::to_string(epoch) + ", and " + std::to_string(newest) + " is known"};
}

} // namespace

Store::Store(const std::filesystem::path& path)
    : database_(server::open_database(path, migrations))
    , find_(database_, std::string(select_key) + "WHERE id = ?")
    , epoch_(database_, "SELECT epoch FROM chips WHERE chip = ?")
{
}

std::optional<std::uint64_t> Store::newest_epoch(const std::string& chip)
{
    epoch_.tryReset();
    epoch_.bind(1, chip);
    std::optional<std::uint64_t> epoch;
    if (epoch_.executeStep())
        epoch = static_cast<std::uint64_t>(epoch_.getColumn(0).getInt64());
    epoch_.tryReset(); // stepped, it keeps its read transaction and with it the write-ahead log
    return epoch;
}

void Store::run(const char* sql, const std::string& chip, std::int64_t number)
{
    SQLite::Statement statement(database_, sql);
    statement.bind(1, chip);
    statement.bind(2, number);
    statement.exec();
}

bool Store::is_newest(const std::string& chip, std::uint64_t epoch)
{
    return translated([&] { return newest_epoch(chip) == epoch; });
}

Verdict Store::admit(const std::string& chip, std::uint64_t epoch)
{
    return translated([&]() -> Verdict {
        if (newest_epoch(chip) == epoch)
            return accepted(); // the usual case writes nothing
        SQLite::Transaction transaction(database_, SQLite::TransactionBehavior::IMMEDIATE);
        const auto newest = newest_epoch(chip);
        if (newest && *newest > epoch)
            return outdated(epoch, *newest);
        run("INSERT INTO chips VALUES (?, ?) ON CONFLICT (chip) DO UPDATE SET epoch = excluded.epoch"
            " WHERE excluded.epoch > chips.epoch",
            chip, number_of(epoch));
        run(remove_older_keys, chip, number_of(epoch));
        transaction.commit();
        return accepted();
    });
}

Verdict Store::add(const StoredKey& key)
{
    return translated([&]() -> Verdict {
        SQLite::Transaction transaction(database_, SQLite::TransactionBehavior::IMMEDIATE);
        const auto newest = newest_epoch(key.chip);
        if (newest && *newest > key.epoch)
            return outdated(key.epoch, *newest);
        SQLite::Statement insert(database_,
                                 "INSERT INTO keys (id, chip, epoch, made, rotate_after, not_after, sealed,"
                                 " identity_kind, identity_value, module_issuer, module_serial, station_issuer,"
                                 " station_serial) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
        bind(insert, 1, key.id);
        insert.bind(2, key.chip);
        insert.bind(3, number_of(key.epoch));
        insert.bind(4, seconds(key.made));
        insert.bind(5, seconds(key.rotate_after));
        insert.bind(6, seconds(key.not_after));
        bind(insert, 7, key.sealed);
        insert.bind(8, key.identity.kind);
        insert.bind(9, key.identity.value);
        bind(insert, 10, key.module.issuer);
        insert.bind(11, key.module.serial);
        bind(insert, 12, key.station.issuer);
        insert.bind(13, key.station.serial);
        insert.exec();
        run("DELETE FROM keys WHERE chip = ? AND not_after <= ?", key.chip, seconds(key.made));
        run(remove_surplus_keys, key.chip, keys_in_force);
        transaction.commit();
        return accepted();
    });
}

std::optional<StoredKey> Store::find(BytesView id)
{
    return translated([&]() -> std::optional<StoredKey> {
        find_.tryReset();
        bind(find_, 1, id);
        std::optional<StoredKey> found;
        if (find_.executeStep())
            found = read_key(find_);
        find_.tryReset();
        return found;
    });
}

std::vector<StoredKey> Store::keys()
{
    return translated([&] {
        SQLite::Statement query(database_, std::string(select_key) + "ORDER BY chip, number");
        std::vector<StoredKey> all;
        while (query.executeStep())
            all.push_back(read_key(query));
        return all;
    });
}

std::size_t Store::remove_keys(const std::string& chip)
{
    return translated([&] {
        SQLite::Statement statement(database_, "DELETE FROM keys WHERE chip = ?");
        statement.bind(1, chip);
        return static_cast<std::size_t>(statement.exec());
    });
}

void Store::remove_expired(pki::Time now)
{
    translated([&] {
        SQLite::Statement statement(database_, "DELETE FROM keys WHERE not_after <= ?");
        statement.bind(1, seconds(now));
        statement.exec();
    });
}

std::vector<StoredList> Store::lists()
{
    return translated([&] {
        SQLite::Statement query(database_, "SELECT issuer, number, path, crl FROM revocation_lists");
        std::vector<StoredList> all;
        while (query.executeStep())
            all.push_back({blob(query.getColumn(0)), static_cast<std::uint64_t>(query.getColumn(1).getInt64()),
                           query.getColumn(2).getString(), blob(query.getColumn(3))});
        return all;
    });
}

void Store::keep(const StoredList& list)
{
    translated([&] {
        SQLite::Statement statement(database_, "INSERT OR REPLACE INTO revocation_lists VALUES (?, ?, ?, ?)");
        bind(statement, 1, list.issuer);
        statement.bind(2, static_cast<std::int64_t>(list.number));
        statement.bind(3, list.path);
        bind(statement, 4, list.crl);
        statement.exec();
    });
}

Bytes Store::seal_check()
{
    return translated([&] {
        SQLite::Statement query(database_, "SELECT sealed FROM seal_check");
        return query.executeStep() ? blob(query.getColumn(0)) : Bytes{};
    });
}

void Store::set_seal_check(BytesView check)
{
    translated([&] {
        SQLite::Statement statement(database_, "INSERT INTO seal_check VALUES (1, ?)");
        bind(statement, 1, check);
        statement.exec();
    });
}

} // namespace imprint::central
