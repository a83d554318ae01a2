// SPDX-License-Identifier: Apache-2.0
// The servers' embedded databases: SQLite, durable at every commit.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <filesystem>
#include <span>
#include <string_view>

namespace imprint::server {

// Opens the database at `path`, created with mode 0600 if it is not there: write-ahead log, synchronous=FULL (a commit
// returns when it is durable), foreign keys on, five seconds of patience with other processes.
// `migrations` are scripts, oldest first; those that were not run yet are, all of them in one transaction, counted in
// user_version. `prepare` comes before them: with functions, say, that they need. Throws Error(storage_failed), also
// for a database of a newer version.
SQLite::Database open_database(const std::filesystem::path& path, std::span<const std::string_view> migrations,
                               void (*prepare)(SQLite::Database&) = nullptr);

// Copies what is committed at this moment into a new database with mode 0600, without free pages, while others work;
// durable when it returns. What a crash leaves beside `path` is called `path`.partial. Throws Error(storage_failed),
// also if `path` exists.
void copy_database(SQLite::Database& database, const std::filesystem::path& path);

} // namespace imprint::server
