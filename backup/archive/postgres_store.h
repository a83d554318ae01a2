// SPDX-License-Identifier: Apache-2.0
// The archive in a PostgreSQL database: for several archives on one, and for standbys.
#pragma once

#include "backup/archive/store.h"

namespace imprint::archive {

// `url`: postgresql://..., as libpq has it. The schema imprint_archive in that database is the archive's own.
std::unique_ptr<Store> open_postgres(const std::string& url, Opening opening);

} // namespace imprint::archive
