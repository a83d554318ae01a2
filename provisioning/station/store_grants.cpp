// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/store.h"
#include "provisioning/station/store_sql.h"

namespace imprint::station {

namespace {

std::string first_text(SQLite::Statement& row) { return row.getColumn(0).getString(); }

std::vector<std::string> texts(SQLite::Database& database, const std::string& statement, const std::string& parameter)
{
    SQLite::Statement query(database, statement);
    query.bind(1, parameter);
    return sql::rows(query, first_text);
}

// Of the chip's grants those that `which` selects. One that got its receipt stays what its record was granted with.
std::vector<std::string> revoke(SQLite::Database& database, const std::string& chip, const std::string& which,
                                pki::Time now, const std::string& third = {})
{
    SQLite::Statement enter(database,
                            "INSERT OR IGNORE INTO revoked (serial, time) SELECT serial, ?2 FROM grants "
                            "WHERE chip = ?1 AND (" +
                                which + ") RETURNING serial");
    SQLite::bind(enter, chip, seconds(now));
    if (!third.empty())
        enter.bind(3, third);
    auto serials = sql::rows(enter, first_text);
    // A record that is on its way still needs its pairs, the others never get one.
    SQLite::Statement pairs(
        database,
        "DELETE FROM pool WHERE serial IN "
        "(SELECT serial FROM grants JOIN revoked USING (serial) WHERE chip = ? AND state = 'open')");
    pairs.bind(1, chip);
    pairs.exec();
    SQLite::Statement update(database,
                             "UPDATE grants SET state = 'revoked' WHERE chip = ? AND state = 'open' AND serial IN "
                             "(SELECT serial FROM revoked)");
    update.bind(1, chip);
    update.exec();
    return serials;
}

} // namespace

void Store::add_grant(const GrantEntry& grant)
{
    SQLite::Statement insert(
        database_,
        "INSERT INTO grants (serial, chip, sequence, time, origin, module_certificate) VALUES (?, ?, ?, ?, ?, ?)");
    SQLite::bind(insert, grant.serial, grant.chip, static_cast<std::int64_t>(grant.sequence), seconds(grant.time),
                 grant.origin);
    sql::bind(insert, 6, grant.module_certificate);
    insert.exec();
    SQLite::Statement pairs(database_, "UPDATE pool SET serial = ? WHERE chip = ? AND sequence = ? AND serial IS NULL");
    SQLite::bind(pairs, grant.serial, grant.chip, static_cast<std::int64_t>(grant.sequence));
    pairs.exec();
}

void Store::add_key_certificate(const std::string& serial, const std::string& grant)
{
    SQLite::Statement insert(database_, "INSERT OR IGNORE INTO key_certificates (serial, granted) VALUES (?, ?)");
    SQLite::bind(insert, serial, grant);
    insert.exec();
}

bool Store::grant_is_open(const std::string& serial)
{
    SQLite::Statement query(database_, "SELECT 1 FROM grants WHERE serial = ? AND state = 'open'");
    query.bind(1, serial);
    return query.executeStep();
}

bool Store::has_grant(const std::string& serial)
{
    SQLite::Statement query(database_, "SELECT 1 FROM grants WHERE serial = ?");
    query.bind(1, serial);
    return query.executeStep();
}

void Store::close_grant(const std::string& serial)
{
    SQLite::Statement update(database_, "UPDATE grants SET state = 'received' WHERE serial = ? AND state = 'open'");
    update.bind(1, serial);
    update.exec();
}

std::vector<std::string> Store::revoke_open_grants(const std::string& chip, pki::Time now)
{
    removed_ = true;
    return revoke(database_, chip, "state = 'open'", now);
}

std::vector<std::string> Store::revoke_all_grants(const std::string& chip, pki::Time now)
{
    removed_ = true;
    return revoke(database_, chip, "TRUE", now);
}

std::vector<std::string> Store::revoke_superseded_grants(const std::string& chip, pki::Time now)
{
    return revoke(database_, chip,
                  "state = 'received' AND sequence < (SELECT max(sequence) FROM records WHERE records.chip = ?1)", now);
}

std::vector<pki::Revoked> Store::revoked()
{
    SQLite::Statement query(database_,
                            "WITH own AS (SELECT serial, revoked.time FROM revoked JOIN grants USING (serial) "
                            "WHERE origin = '') SELECT serial, time FROM own UNION ALL "
                            "SELECT key_certificates.serial, time FROM own "
                            "JOIN key_certificates ON granted = own.serial ORDER BY 2, 1");
    return sql::rows(query, [](SQLite::Statement& row) -> pki::Revoked {
        return {row.getColumn(0), from_seconds(row.getColumn(1))};
    });
}

std::vector<std::string> Store::revoke_grants(const std::vector<std::string>& serials, pki::Time now)
{
    std::vector<std::string> chips, done;
    for (const auto& serial : serials) {
        SQLite::Statement query(database_, "SELECT chip FROM grants WHERE serial = ? AND origin = ''");
        query.bind(1, serial);
        if (!query.executeStep())
            continue;
        removed_ = true;
        for (auto& one : revoke(database_, query.getColumn(0).getString(), "serial = ?3", now, serial))
            done.push_back(std::move(one));
    }
    return done;
}

std::vector<std::string> Store::key_certificates(const std::string& grant)
{
    return texts(database_, "SELECT serial FROM key_certificates WHERE granted = ? ORDER BY serial", grant);
}

std::vector<std::string> Store::revoked_of(const std::string& station)
{
    return texts(database_,
                 "SELECT serial FROM revoked JOIN grants USING (serial) WHERE origin = ? ORDER BY revoked.time, serial",
                 station);
}

std::uint64_t Store::next_crl_number()
{
    SQLite::Statement update(database_, "UPDATE crl_number SET number = number + 1 RETURNING number");
    update.executeStep();
    return static_cast<std::uint64_t>(update.getColumn(0).getInt64());
}

} // namespace imprint::station
