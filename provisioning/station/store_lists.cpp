// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/store.h"
#include "provisioning/station/store_sql.h"

namespace imprint::station {

namespace {

// Somebody has it, or is to have it. What an introduction promised stays promised when that has expired: a range has
// other numbers.
bool is_spoken_for(SQLite::Database& database, const pki::DeviceIdentity& identity)
{
    SQLite::Statement query(database,
                            "SELECT 1 FROM chips WHERE identity_kind = ?1 AND identity_value = ?2 UNION ALL "
                            "SELECT 1 FROM identity_list WHERE identity_kind = ?1 AND identity_value = ?2 UNION ALL "
                            "SELECT 1 FROM introductions WHERE identity_kind = ?1 AND identity_value = ?2 "
                            "AND state = 'open'");
    SQLite::bind(query, identity.kind, identity.value);
    return query.executeStep();
}

RangeEntry read_range(SQLite::Statement& query)
{
    const auto number = [&](int column) { return static_cast<std::uint64_t>(query.getColumn(column).getInt64()); };
    return {{query.getColumn(1).getString(), query.getColumn(2).getString(), query.getColumn(3).getUInt(), number(4),
             number(6)},
            number(5)};
}

const std::string select_ranges = "SELECT id, kind, prefix, width, first, next, last FROM identity_ranges ";

// The next one of the first range that has any left.
std::optional<pki::DeviceIdentity> take_next(SQLite::Database& database)
{
    SQLite::Statement query(database, select_ranges + "WHERE next <= last ORDER BY id LIMIT 1");
    if (!query.executeStep())
        return std::nullopt;
    const auto entry = read_range(query);
    SQLite::Statement update(database, "UPDATE identity_ranges SET next = next + 1 WHERE id = ?");
    update.bind(1, query.getColumn(0).getInt64());
    update.exec();
    return identity_at(entry.range, entry.next);
}

} // namespace

bool Store::allowed(const std::string& chip)
{
    SQLite::Statement query(database_, "SELECT 1 FROM allow_list WHERE chip = ?");
    query.bind(1, chip);
    return query.executeStep();
}

bool Store::allow(const AllowedKey& key)
{
    SQLite::Statement insert(database_, "INSERT OR IGNORE INTO allow_list (chip, note) VALUES (?, ?)");
    SQLite::bind(insert, key.chip, key.note);
    return insert.exec() == 1;
}

std::vector<AllowedKey> Store::allow_list()
{
    SQLite::Statement query(database_, "SELECT chip, note FROM allow_list ORDER BY chip");
    return sql::rows(query, [](SQLite::Statement& row) -> AllowedKey { return {row.getColumn(0), row.getColumn(1)}; });
}

Result<pki::DeviceIdentity> Store::assign_identity(const std::string& chip)
{
    SQLite::Statement listed(database_, "SELECT identity_kind, identity_value FROM identity_list WHERE chip = ?");
    listed.bind(1, chip);
    if (listed.executeStep()) {
        const pki::DeviceIdentity identity{listed.getColumn(0), listed.getColumn(1)};
        if (const auto other = chip_of_identity(identity))
            return Refusal{Reason::identity_taken, identity.value + " belongs to chip " + *other};
        return identity;
    }
    while (auto identity = take_next(database_))
        if (!is_spoken_for(database_, *identity))
            return *std::move(identity);
    return Refusal{Reason::no_identity_left, "the list has no identity for this chip and the ranges are used up"};
}

Result<pki::DeviceIdentity> Store::assign_promised(const std::string& chip, const pki::DeviceIdentity& promised)
{
    const auto foreign = [&](const std::string& why) { return Refusal{Reason::transaction_number_foreign, why}; };
    if (const auto owner = chip_of_identity(promised))
        return foreign(promised.value + " belongs to chip " + *owner);
    SQLite::Statement listed(database_,
                             "SELECT chip, identity_value, identity_kind FROM identity_list "
                             "WHERE chip = ?1 OR (identity_kind = ?2 AND identity_value = ?3)");
    SQLite::bind(listed, chip, promised.kind, promised.value);
    while (listed.executeStep())
        if (listed.getColumn(0).getString() != chip || listed.getColumn(1).getString() != promised.value ||
            listed.getColumn(2).getString() != promised.kind)
            return foreign("chip " + listed.getColumn(0).getString() + " is listed with " +
                           listed.getColumn(1).getString());
    return promised;
}

Result<bool> Store::list_identity(const ListedIdentity& listed)
{
    SQLite::Statement query(database_,
                            "SELECT chip, identity_kind, identity_value FROM identity_list "
                            "WHERE chip = ?1 OR (identity_kind = ?2 AND identity_value = ?3)");
    SQLite::bind(query, listed.chip, listed.identity.kind, listed.identity.value);
    while (query.executeStep()) {
        const pki::DeviceIdentity there{query.getColumn(1), query.getColumn(2)};
        if (query.getColumn(0).getString() == listed.chip && there == listed.identity)
            return false;
        return Refusal{Reason::identity_taken,
                       "chip " + query.getColumn(0).getString() + " is listed with " + there.value};
    }
    if (const auto other = chip_of_identity(listed.identity); other && *other != listed.chip)
        return Refusal{Reason::identity_taken, listed.identity.value + " belongs to chip " + *other};
    if (const auto known = chip(listed.chip); known && known->identity != listed.identity)
        return Refusal{Reason::identity_taken, "the chip has the identity " + known->identity.value};
    SQLite::Statement insert(database_,
                             "INSERT INTO identity_list (chip, identity_kind, identity_value) VALUES (?, ?, ?)");
    SQLite::bind(insert, listed.chip, listed.identity.kind, listed.identity.value);
    insert.exec();
    return true;
}

std::vector<ListedIdentity> Store::identity_list()
{
    SQLite::Statement query(database_,
                            "SELECT chip, identity_kind, identity_value FROM identity_list "
                            "ORDER BY identity_kind, identity_value");
    return sql::rows(query, [](SQLite::Statement& row) -> ListedIdentity {
        return {row.getColumn(0).getString(), {row.getColumn(1).getString(), row.getColumn(2).getString()}};
    });
}

void Store::add_range(const IdentityRange& range)
{
    if (const auto verdict = check(range); !verdict)
        throw Error(Reason::invalid_argument, "not a range of identities: " + verdict.refusal().detail);
    for (const auto& other : ranges())
        if (overlap(range, other.range))
            throw Error(Reason::identity_taken,
                        "the range overlaps the one from " + identity_at(other.range, other.range.first).value +
                            " to " + identity_at(other.range, other.range.last).value);
    SQLite::Statement insert(database_,
                             "INSERT INTO identity_ranges (kind, prefix, width, first, next, last) "
                             "VALUES (?1, ?2, ?3, ?4, ?4, ?5)");
    SQLite::bind(insert, range.kind, range.prefix, range.width, static_cast<std::int64_t>(range.first),
                 static_cast<std::int64_t>(range.last));
    insert.exec();
}

std::vector<RangeEntry> Store::ranges()
{
    SQLite::Statement query(database_, select_ranges + "ORDER BY id");
    return sql::rows(query, read_range);
}

std::uint64_t Store::close_ranges()
{
    const auto left = database_.execAndGet("SELECT coalesce(sum(last - next + 1), 0) FROM identity_ranges").getInt64();
    database_.exec("UPDATE identity_ranges SET next = last + 1");
    return static_cast<std::uint64_t>(left);
}

} // namespace imprint::station
