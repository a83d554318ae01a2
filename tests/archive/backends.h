// SPDX-License-Identifier: Apache-2.0
// The databases that an archive may be on, for tests that hold for each of them.
#pragma once

#include <filesystem>
#include <string>

namespace imprint::test {

class Postgres;
const Postgres& shared_postgres(); // one for all tests of the program

// The URL of a database that nobody used yet, of "SQLite", in this directory, or of "PostgreSQL".
std::string fresh_database(const std::string& backend, const std::filesystem::path& directory);
std::string fresh_postgres();

} // namespace imprint::test
