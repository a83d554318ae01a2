// SPDX-License-Identifier: Apache-2.0
#include "backup/archive/sqlite_sha256.h"

#include "backup/package/record.h"

#include <sqlite3.h>

namespace imprint::archive {

namespace {

void sha256(sqlite3_context* context, int /*count*/, sqlite3_value** values) noexcept
try {
    const auto* data = static_cast<const std::uint8_t*>(sqlite3_value_blob(*values));
    const Bytes digest = package::record_digest({data, static_cast<std::size_t>(sqlite3_value_bytes(*values))});
    sqlite3_result_blob(context, digest.data(), static_cast<int>(digest.size()), SQLITE_TRANSIENT);
} catch (const std::exception& e) {
    sqlite3_result_error(context, e.what(), -1);
}

} // namespace

void add_sha256(SQLite::Database& database)
{
    // Innocuous: triggers of a schema that is not trusted may use it.
    constexpr int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
    if (sqlite3_create_function_v2(database.getHandle(), "sha256", 1, flags, nullptr, sha256, nullptr, nullptr,
                                   nullptr) != SQLITE_OK)
        throw SQLite::Exception(database.getHandle());
}

} // namespace imprint::archive
