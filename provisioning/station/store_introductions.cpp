// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/store.h"
#include "provisioning/station/store_sql.h"

namespace imprint::station {

namespace {

using protocol::IntroductionKind;

const std::string select_introductions =
    "SELECT selector, kind, chip, identity_kind, identity_value, issued, expires, issuer, reason, state, used_by, "
    "used, sequence, EXISTS (SELECT 1 FROM records WHERE records.chip = used_by AND "
    "records.sequence = introductions.sequence), verifier FROM introductions ";

IntroductionEntry read_introduction(SQLite::Statement& query)
{
    IntroductionEntry entry;
    entry.selector = query.getColumn(0).getString();
    entry.kind = query.getColumn(1).getString() == name(IntroductionKind::ticket)
        ? IntroductionKind::ticket
        : IntroductionKind::transaction_number;
    entry.chip = query.getColumn(2).getString();
    if (const std::string kind = query.getColumn(3); !kind.empty())
        entry.identity = pki::DeviceIdentity{kind, query.getColumn(4)};
    entry.issued = from_seconds(query.getColumn(5));
    entry.expires = from_seconds(query.getColumn(6));
    entry.issuer = query.getColumn(7).getString();
    entry.reason = query.getColumn(8).getString();
    const std::string state = query.getColumn(9);
    entry.state = state == "used" ? IntroductionState::used
        : state == "revoked"      ? IntroductionState::revoked
                                  : IntroductionState::open;
    entry.used_by = query.getColumn(10).getString();
    entry.used = from_seconds(query.getColumn(11));
    entry.sequence = static_cast<std::uint64_t>(query.getColumn(12).getInt64());
    entry.recorded = query.getColumn(13).getInt() != 0;
    return entry;
}

} // namespace

std::string_view name(IntroductionState state)
{
    switch (state) {
    case IntroductionState::open:
        return "open";
    case IntroductionState::used:
        return "used";
    case IntroductionState::revoked:
        return "revoked";
    }
    return "";
}

bool Store::add_introduction(const IntroductionEntry& entry)
{
    const pki::DeviceIdentity identity = entry.identity.value_or(pki::DeviceIdentity{});
    SQLite::Statement insert(database_,
                             "INSERT OR IGNORE INTO introductions (selector, kind, chip, identity_kind, "
                             "identity_value, issued, expires, issuer, reason, verifier) "
                             "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    SQLite::bind(insert, entry.selector, std::string(name(entry.kind)), entry.chip, identity.kind, identity.value,
                 seconds(entry.issued), seconds(entry.expires), entry.issuer, entry.reason);
    sql::bind(insert, 10, entry.verifier.view());
    return insert.exec() == 1;
}

std::optional<IntroductionEntry> Store::introduction(const std::string& selector)
{
    SQLite::Statement query(database_, select_introductions + "WHERE selector = ?");
    query.bind(1, selector);
    if (!query.executeStep())
        return std::nullopt;
    auto entry = read_introduction(query);
    const auto verifier = query.getColumn(14);
    const auto* begin = static_cast<const std::uint8_t*>(verifier.getBlob());
    entry.verifier = Secret(BytesView(begin, static_cast<std::size_t>(verifier.getBytes())));
    return entry;
}

std::vector<IntroductionEntry> Store::introductions()
{
    SQLite::Statement query(database_, select_introductions + "ORDER BY issued, rowid");
    return sql::rows(query, read_introduction);
}

bool Store::revoke_introduction(const std::string& selector)
{
    const auto entry = introduction(selector);
    if (!entry || entry->state == IntroductionState::revoked || entry->recorded)
        return false;
    SQLite::Statement update(database_, "UPDATE introductions SET state = 'revoked' WHERE selector = ?");
    update.bind(1, selector);
    return update.exec() == 1;
}

void Store::burn_introduction(const std::string& selector, const std::string& chip, std::uint64_t sequence,
                              pki::Time now)
{
    SQLite::Statement update(
        database_, "UPDATE introductions SET state = 'used', used_by = ?, used = ?, sequence = ? WHERE selector = ?");
    SQLite::bind(update, chip, seconds(now), static_cast<std::int64_t>(sequence), selector);
    if (update.exec() != 1)
        throw Error(Reason::internal, "no introduction " + selector);
}

} // namespace imprint::station
