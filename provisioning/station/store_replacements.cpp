// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/store.h"
#include "provisioning/station/store_sql.h"

namespace imprint::station {

namespace {

const std::string select_replacements =
    "SELECT former, present, identity_kind, identity_value, time, reason, statement, place FROM replacements ";

ReplacementEntry read_replacement(SQLite::Statement& query)
{
    constexpr int place = 7;
    return {query.getColumn(0).getString(),
            query.getColumn(1).getString(),
            {query.getColumn(2).getString(), query.getColumn(3).getString()},
            from_seconds(query.getColumn(4)),
            query.getColumn(5).getString(),
            sql::blob(query.getColumn(6)),
            query.getColumn(place).getInt64()};
}

std::optional<ReplacementEntry> one(SQLite::Database& database, const std::string& condition, const std::string& chip)
{
    SQLite::Statement query(database, select_replacements + condition);
    query.bind(1, chip);
    return query.executeStep() ? std::optional(read_replacement(query)) : std::nullopt;
}

} // namespace

Result<pki::DeviceIdentity> Store::check_replacement(const std::string& former, const std::string& present)
{
    const auto known = chip(former);
    const auto expected = replacement_by(former);
    if (!known && !expected)
        return Refusal{Reason::unknown_chip, "chip " + former + " was never here"};
    if (const auto other = replacement_of(former))
        return Refusal{Reason::chip_replaced, "chip " + other->present + " took its place already"};
    if (replacement_of(present))
        return Refusal{Reason::chip_replaced, "chip " + present + " was replaced itself"};
    if (const auto other = chip(present))
        return Refusal{Reason::chip_already_known, "chip " + present + " is " + other->identity.value};
    SQLite::Statement listed(database_, "SELECT identity_value FROM identity_list WHERE chip = ?");
    listed.bind(1, present);
    if (listed.executeStep())
        return Refusal{Reason::identity_taken, "chip " + present + " is to be " + listed.getColumn(0).getString()};
    return known ? known->identity : expected->identity;
}

void Store::add_replacement(const ReplacementEntry& replacement)
{
    SQLite::Statement insert(database_,
                             "INSERT INTO replacements (former, present, identity_kind, identity_value, time, reason, "
                             "place, statement) "
                             "VALUES (?, ?, ?, ?, ?, ?, (SELECT coalesce(max(rowid), 0) FROM outbox), ?)");
    const auto& identity = replacement.identity;
    SQLite::bind(insert, replacement.former, replacement.present, identity.kind, identity.value,
                 seconds(replacement.time), replacement.reason);
    sql::bind(insert, 7, replacement.statement);
    insert.exec();
    SQLite::Statement update(database_, "UPDATE chips SET replaced_by = ? WHERE chip = ?");
    SQLite::bind(update, replacement.present, replacement.former);
    update.exec();
    SQLite::Statement remove(database_, "DELETE FROM identity_list WHERE identity_kind = ? AND identity_value = ?");
    SQLite::bind(remove, identity.kind, identity.value);
    remove.exec();
    SQLite::Statement list(database_,
                           "INSERT INTO identity_list (chip, identity_kind, identity_value) VALUES (?, ?, ?)");
    SQLite::bind(list, replacement.present, identity.kind, identity.value);
    list.exec();
}

std::optional<ReplacementEntry> Store::replacement_by(const std::string& present)
{
    return one(database_, "WHERE present = ?", present);
}

std::optional<ReplacementEntry> Store::replacement_of(const std::string& former)
{
    return one(database_, "WHERE former = ?", former);
}

std::vector<ReplacementEntry> Store::replacements()
{
    SQLite::Statement query(database_, select_replacements + "ORDER BY place, rowid");
    return sql::rows(query, read_replacement);
}

std::optional<std::string> Store::heir_of(const pki::DeviceIdentity& identity)
{
    SQLite::Statement query(database_,
                            "SELECT present FROM replacements r WHERE identity_kind = ? AND identity_value = ? "
                            "AND NOT EXISTS (SELECT 1 FROM replacements WHERE former = r.present)");
    SQLite::bind(query, identity.kind, identity.value);
    if (!query.executeStep())
        return std::nullopt;
    return query.getColumn(0).getString();
}

} // namespace imprint::station
