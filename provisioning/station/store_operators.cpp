// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/store.h"
#include "provisioning/station/store_sql.h"

namespace imprint::station {

namespace {

const std::string select_operators =
    "SELECT fingerprint, name, may_introduce, may_issue_tan, added, revoked FROM operators ";

Operator read_operator(SQLite::Statement& query)
{
    Operator entry{.fingerprint = query.getColumn(0),
                   .name = query.getColumn(1),
                   .may_introduce = query.getColumn(2).getInt() != 0,
                   .may_issue_tan = query.getColumn(3).getInt() != 0,
                   .added = from_seconds(query.getColumn(4)),
                   .revoked = std::nullopt};
    if (!query.getColumn(5).isNull())
        entry.revoked = from_seconds(query.getColumn(5));
    return entry;
}

} // namespace

std::optional<Operator> Store::find_operator(const std::string& fingerprint)
{
    SQLite::Statement query(database_, select_operators + "WHERE fingerprint = ?");
    query.bind(1, fingerprint);
    if (!query.executeStep())
        return std::nullopt;
    return read_operator(query);
}

std::vector<Operator> Store::operators()
{
    SQLite::Statement query(database_, select_operators + "ORDER BY name, added, fingerprint");
    return sql::rows(query, read_operator);
}

void Store::put_operator(const Operator& entry)
{
    SQLite::Statement insert(database_,
                             "INSERT INTO operators (fingerprint, name, may_introduce, may_issue_tan, added) "
                             "VALUES (?, ?, ?, ?, ?) ON CONFLICT (fingerprint) DO UPDATE SET "
                             "may_introduce = excluded.may_introduce, may_issue_tan = excluded.may_issue_tan");
    SQLite::bind(insert, entry.fingerprint, entry.name, entry.may_introduce ? 1 : 0, entry.may_issue_tan ? 1 : 0,
                 seconds(entry.added));
    insert.exec();
}

void Store::revoke_operator(const std::string& fingerprint, pki::Time now)
{
    SQLite::Statement update(database_, "UPDATE operators SET revoked = ? WHERE fingerprint = ?");
    SQLite::bind(update, seconds(now), fingerprint);
    update.exec();
}

} // namespace imprint::station
