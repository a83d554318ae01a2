// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/store.h"
#include "provisioning/station/store_sql.h"

namespace imprint::station {

void Store::keep_proof(const std::string& chip, std::uint64_t sequence, BytesView proof)
{
    SQLite::Statement insert(database_, "INSERT INTO proofs (chip, sequence, proof) VALUES (?, ?, ?)");
    SQLite::bind(insert, chip, static_cast<std::int64_t>(sequence));
    sql::bind(insert, 3, proof);
    insert.exec();
}

std::optional<Bytes> Store::proof(const std::string& chip, std::uint64_t sequence)
{
    SQLite::Statement query(database_, "SELECT proof FROM proofs WHERE chip = ? AND sequence = ?");
    SQLite::bind(query, chip, static_cast<std::int64_t>(sequence));
    return query.executeStep() ? std::optional(sql::blob(query.getColumn(0))) : std::nullopt;
}

} // namespace imprint::station
