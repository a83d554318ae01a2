// SPDX-License-Identifier: Apache-2.0
#include "tests/station/faulty_disk.h"

#include <sqlite3.h>

#include <map>

namespace imprint::test {

namespace {

std::size_t limit = 0; // 0: sound
std::size_t done = 0;
sqlite3_vfs* real = nullptr;
sqlite3_vfs faulty{};
// SQLite's own tables of a file's functions, to ours.
std::map<const sqlite3_io_methods*, sqlite3_io_methods> tables;
decltype(sqlite3_io_methods::xWrite) real_write = nullptr;
decltype(sqlite3_io_methods::xSync) real_sync = nullptr;

bool fails() { return limit != 0 && ++done >= limit; }

int write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset)
{
    return fails() ? SQLITE_FULL : real_write(file, data, size, offset);
}

int sync(sqlite3_file* file, int flags) { return fails() ? SQLITE_IOERR_FSYNC : real_sync(file, flags); }

int open_file(sqlite3_vfs* /*vfs*/, sqlite3_filename name, sqlite3_file* file, int flags, int* out_flags)
{
    const int rc = real->xOpen(real, name, file, flags, out_flags);
    if (rc != SQLITE_OK || file->pMethods == nullptr)
        return rc;
    real_write = file->pMethods->xWrite; // the same in all tables of the Unix file system
    real_sync = file->pMethods->xSync;
    auto [entry, fresh] = tables.try_emplace(file->pMethods, *file->pMethods);
    if (fresh) {
        entry->second.xWrite = write;
        entry->second.xSync = sync;
    }
    file->pMethods = &entry->second;
    return rc;
}

} // namespace

FaultyDisk::FaultyDisk()
{
    sqlite3_initialize();
    real = sqlite3_vfs_find(nullptr);
    faulty = *real;
    faulty.zName = "faulty";
    faulty.xOpen = open_file;
    sqlite3_vfs_register(&faulty, 1);
}

FaultyDisk::~FaultyDisk()
{
    repair();
    sqlite3_vfs_unregister(&faulty);
    sqlite3_vfs_register(real, 1);
}

void FaultyDisk::break_at(std::size_t operation)
{
    limit = operation;
    done = 0;
}

void FaultyDisk::repair() { limit = 0; }

} // namespace imprint::test
