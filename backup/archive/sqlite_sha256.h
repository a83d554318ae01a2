// SPDX-License-Identifier: Apache-2.0
// What SQLite does not have of its own, and PostgreSQL has: sha256(blob), for the schema's triggers.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

namespace imprint::archive {

void add_sha256(SQLite::Database& database);

} // namespace imprint::archive
