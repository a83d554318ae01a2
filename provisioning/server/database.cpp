// SPDX-License-Identifier: Apache-2.0
#include "provisioning/server/database.h"

#include "daemon/base/error.h"
#include "daemon/base/file.h"
#include "provisioning/server/owner.h"

#include <fcntl.h>

#include <string>
#include <unistd.h>

namespace imprint::server {

namespace {

constexpr int busy_timeout_ms = 5000;

// SQLite would create it with the umask's mode, and gives its side files the mode of the main one. A database that is
// there is not opened here: closing a descriptor gives up this process's locks on the file (fcntl(2)), those of another
// connection too, and the next program that closes the database would take the write-ahead log away from under it.
void create_private(const std::filesystem::path& path)
{
    const AsOwnerOf owner(path.parent_path());
    const Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd && errno != EEXIST)
        throw_errno("cannot create " + path.string());
    if (std::filesystem::is_symlink(std::filesystem::symlink_status(path)))
        throw Error(Reason::storage_failed, path.string() + " is a symbolic link");
}

void configure(SQLite::Database& database)
{
    // The mode tells what it has become: a file system without shared memory would keep another one.
    if (database.execAndGet("PRAGMA journal_mode = WAL").getString() != "wal")
        throw Error(Reason::storage_failed, database.getFilename() + ": no write-ahead log is possible here");
    database.exec("PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF");
}

// Without foreign keys, as a table that others refer to is made anew (sqlite.org/lang_altertable.html, section 7).
void migrate(SQLite::Database& database, std::span<const std::string_view> migrations)
{
    database.exec("PRAGMA foreign_keys = OFF");
    SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
    const auto version = static_cast<std::size_t>(database.execAndGet("PRAGMA user_version").getInt64());
    if (version > migrations.size())
        throw Error(Reason::storage_failed, database.getFilename() + " belongs to a newer version of this program");
    for (const std::string_view script : migrations.subspan(version))
        database.exec(std::string(script));
    if (version < migrations.size() && SQLite::Statement(database, "PRAGMA foreign_key_check").executeStep())
        throw Error(Reason::storage_failed, database.getFilename() + ": a row refers to one that is not there");
    database.exec("PRAGMA user_version = " + std::to_string(migrations.size()));
    transaction.commit();
    database.exec("PRAGMA foreign_keys = ON");
}

// In its place for good, or not at all.
void publish(const std::filesystem::path& partial, const std::filesystem::path& path)
{
    const Fd fd(open(partial.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd || fsync(fd.get()) != 0)
        throw_errno("cannot write " + partial.string());
    if (renameat2(AT_FDCWD, partial.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) != 0)
        throw_errno("cannot write " + path.string());
    sync_directory(path);
}

} // namespace

void copy_database(SQLite::Database& database, const std::filesystem::path& path)
{
    const std::filesystem::path partial = path.string() + ".partial";
    if (std::filesystem::exists(std::filesystem::symlink_status(path)))
        throw Error(Reason::storage_failed, path.string() + " exists already, and is left alone");
    remove_file(partial);
    create_private(partial);
    try {
        SQLite::Statement vacuum(database, "VACUUM INTO ?");
        vacuum.bind(1, partial.string());
        vacuum.exec();
        publish(partial, path);
    } catch (const SQLite::Exception& e) {
        remove_file(partial);
        throw Error(Reason::storage_failed, path.string() + ": " + e.what());
    } catch (const Error&) {
        remove_file(partial);
        throw;
    }
}

SQLite::Database open_database(const std::filesystem::path& path, std::span<const std::string_view> migrations,
                               void (*prepare)(SQLite::Database&))
{
    give_to_owner(path);
    create_private(path);
    try {
        SQLite::Database database(path.string(), SQLite::OPEN_READWRITE, busy_timeout_ms);
        configure(database);
        if (prepare != nullptr)
            prepare(database);
        migrate(database, migrations);
        return database;
    } catch (const SQLite::Exception& e) {
        throw Error(Reason::storage_failed, path.string() + ": " + e.what());
    }
}

} // namespace imprint::server
