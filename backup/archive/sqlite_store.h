// SPDX-License-Identifier: Apache-2.0
// The archive in a file of its own: SQLite, for one machine.
#pragma once

#include "backup/archive/store.h"

#include <filesystem>

namespace imprint::archive {

std::unique_ptr<Store> open_sqlite(const std::filesystem::path& path, Opening opening);

} // namespace imprint::archive
