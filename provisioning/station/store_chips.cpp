// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/store.h"
#include "provisioning/station/store_sql.h"

namespace imprint::station {

namespace {

const std::string select_chips =
    "SELECT chip, identity_kind, identity_value, identity_certificate, first_granted, readmitted, "
    "(SELECT coalesce(max(sequence), 0) FROM records WHERE records.chip = chips.chip), identity_issuers, "
    "coalesce(replaced_by, '') FROM chips ";

Chip read_chip(SQLite::Statement& query)
{
    Chip chip;
    chip.id = query.getColumn(0).getString();
    chip.identity = {query.getColumn(1).getString(), query.getColumn(2).getString()};
    chip.identity_certificate = sql::blob(query.getColumn(3));
    chip.first_granted = from_seconds(query.getColumn(4));
    chip.readmitted = query.getColumn(5).getInt() != 0;
    chip.newest_sequence = static_cast<std::uint64_t>(query.getColumn(6).getInt64());
    chip.identity_issuers = pki::certificates_from_pem(sql::blob(query.getColumn(7)));
    chip.replaced_by = query.getColumn(8).getString();
    return chip;
}

} // namespace

std::optional<Chip> Store::chip(const std::string& id)
{
    SQLite::Statement query(database_, select_chips + "WHERE chip = ?");
    query.bind(1, id);
    if (!query.executeStep())
        return std::nullopt;
    return read_chip(query);
}

std::vector<Chip> Store::chips()
{
    SQLite::Statement query(database_, select_chips + "ORDER BY first_granted, chip");
    return sql::rows(query, read_chip);
}

std::optional<std::string> Store::chip_of_identity_key(BytesView spki)
{
    SQLite::Statement query(database_, "SELECT chip FROM chips WHERE identity_spki = ?");
    sql::bind(query, 1, spki);
    if (!query.executeStep())
        return std::nullopt;
    return query.getColumn(0).getString();
}

std::optional<std::string> Store::chip_of_identity(const pki::DeviceIdentity& identity)
{
    SQLite::Statement query(
        database_, "SELECT chip FROM chips WHERE identity_kind = ? AND identity_value = ? AND replaced_by IS NULL");
    SQLite::bind(query, identity.kind, identity.value);
    if (!query.executeStep())
        return std::nullopt;
    return query.getColumn(0).getString();
}

Verdict Store::add_chip(const Chip& chip, BytesView identity_spki)
{
    if (const auto owner = chip_of_identity_key(identity_spki))
        return Refusal{Reason::chip_already_known, "the same TPM is known as chip " + *owner};
    if (const auto owner = chip_of_identity(chip.identity))
        return Refusal{Reason::identity_taken, chip.identity.value + " belongs to chip " + *owner};
    if (const auto place = replacement_by(chip.id); place && place->identity != chip.identity)
        return Refusal{Reason::identity_taken, "the chip is to be " + place->identity.value};
    if (const auto heir = heir_of(chip.identity); heir && *heir != chip.id)
        return Refusal{Reason::identity_taken, chip.identity.value + " was given to chip " + *heir};
    SQLite::Statement insert(database_,
                             "INSERT INTO chips (chip, identity_kind, identity_value, first_granted, "
                             "identity_certificate, identity_spki, identity_issuers) VALUES (?, ?, ?, ?, ?, ?, ?)");
    SQLite::bind(insert, chip.id, chip.identity.kind, chip.identity.value, seconds(chip.first_granted));
    sql::bind(insert, 5, chip.identity_certificate);
    sql::bind(insert, 6, identity_spki);
    sql::bind(insert, 7, pki::to_pem(chip.identity_issuers));
    insert.exec();
    return accepted();
}

void Store::set_identity_certificate(const Chip& chip)
{
    SQLite::Statement update(database_,
                             "UPDATE chips SET identity_certificate = ?, identity_issuers = ? WHERE chip = ?");
    sql::bind(update, 1, chip.identity_certificate);
    sql::bind(update, 2, pki::to_pem(chip.identity_issuers));
    update.bind(3, chip.id);
    update.exec();
}

bool Store::set_readmitted(const std::string& id, bool readmitted)
{
    SQLite::Statement update(database_, "UPDATE chips SET readmitted = ? WHERE chip = ?");
    SQLite::bind(update, readmitted ? 1 : 0, id);
    return update.exec() == 1;
}

void Store::quarantine(const std::string& id, const std::string& note)
{
    SQLite::Statement insert(database_, "INSERT OR REPLACE INTO quarantine (chip, note) VALUES (?, ?)");
    SQLite::bind(insert, id, note);
    insert.exec();
}

bool Store::release(const std::string& id)
{
    SQLite::Statement remove(database_, "DELETE FROM quarantine WHERE chip = ?");
    remove.bind(1, id);
    return remove.exec() == 1;
}

std::optional<std::string> Store::quarantined(const std::string& id)
{
    SQLite::Statement query(database_, "SELECT note FROM quarantine WHERE chip = ?");
    query.bind(1, id);
    if (!query.executeStep())
        return std::nullopt;
    return query.getColumn(0).getString();
}

} // namespace imprint::station
