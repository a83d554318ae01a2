// SPDX-License-Identifier: Apache-2.0
#include "tests/archive/backends.h"

#include "tests/support/postgres.h"

namespace imprint::test {

const Postgres& shared_postgres()
{
    static const Postgres server;
    return server;
}

std::string fresh_postgres()
{
    static int count = 0;
    return shared_postgres().make_database("archive_" + std::to_string(++count));
}

std::string fresh_database(const std::string& backend, const std::filesystem::path& directory)
{
    return backend == "PostgreSQL" ? fresh_postgres() : "sqlite:" + (directory / "archive.db").string();
}

} // namespace imprint::test
