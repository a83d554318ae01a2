// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/store.h"
#include "provisioning/station/store_sql.h"

namespace imprint::station {

namespace {

RequestEntry read_request(SQLite::Statement& query)
{
    return {query.getColumn(0).getString(),
            {query.getColumn(1).getString(), query.getColumn(2).getString()},
            from_seconds(query.getColumn(3))};
}

const std::string select_requests = "SELECT chip, identity_kind, identity_value, time FROM identity_requests ";

} // namespace

Result<pki::DeviceIdentity> Store::assign_requested(const std::string& chip, const pki::DeviceIdentity& requested)
{
    SQLite::Statement listed(database_,
                             "SELECT chip, identity_kind, identity_value FROM identity_list "
                             "WHERE chip = ?1 OR (identity_kind = ?2 AND identity_value = ?3)");
    SQLite::bind(listed, chip, requested.kind, requested.value);
    bool confirmed = false;
    while (listed.executeStep()) {
        const pki::DeviceIdentity identity{listed.getColumn(1), listed.getColumn(2)};
        if (identity != requested)
            return Refusal{Reason::identity_taken, "the list has another identity for this chip"};
        if (listed.getColumn(0).getString() != chip)
            return Refusal{Reason::identity_taken, requested.value + " is kept for another chip"};
        confirmed = true;
    }
    if (const auto other = chip_of_identity(requested))
        return Refusal{Reason::identity_taken, requested.value + " belongs to chip " + *other};
    if (!confirmed)
        return Refusal{Reason::identity_unconfirmed, requested.kind + " " + requested.value};
    return requested;
}

void Store::enter_request(const RequestEntry& request)
{
    SQLite::Statement insert(
        database_,
        "INSERT OR REPLACE INTO identity_requests (chip, identity_kind, identity_value, time) VALUES (?, ?, ?, ?)");
    SQLite::bind(insert, request.chip, request.identity.kind, request.identity.value, seconds(request.time));
    insert.exec();
    SQLite::Statement remove(database_,
                             "DELETE FROM identity_requests WHERE id NOT IN "
                             "(SELECT id FROM identity_requests ORDER BY id DESC LIMIT ?)");
    remove.bind(1, static_cast<std::int64_t>(max_requests));
    remove.exec();
}

std::optional<RequestEntry> Store::request(const std::string& chip)
{
    SQLite::Statement query(database_, select_requests + "WHERE chip = ?");
    query.bind(1, chip);
    if (!query.executeStep())
        return std::nullopt;
    return read_request(query);
}

std::vector<RequestEntry> Store::requests()
{
    SQLite::Statement query(database_, select_requests + "ORDER BY id");
    return sql::rows(query, read_request);
}

bool Store::remove_request(const std::string& chip)
{
    SQLite::Statement remove(database_, "DELETE FROM identity_requests WHERE chip = ?");
    remove.bind(1, chip);
    return remove.exec() == 1;
}

} // namespace imprint::station
