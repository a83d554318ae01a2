// SPDX-License-Identifier: Apache-2.0
#include "provisioning/central/watched_file.h"

#include "daemon/base/file.h"

#include <sys/stat.h>

namespace imprint::central {

namespace {

std::int64_t nanoseconds(const timespec& time)
{
    constexpr std::int64_t in_a_second = 1'000'000'000;
    return time.tv_sec * in_a_second + time.tv_nsec;
}

} // namespace

WatchedFile::WatchedFile(std::filesystem::path path, std::size_t limit)
    : path_(std::move(path))
    , limit_(limit)
{
}

WatchedFile::Stamp WatchedFile::look() const
{
    struct stat info { };
    if (stat(path_.c_str(), &info) != 0)
        return {};
    return {info.st_dev, info.st_ino, info.st_size, nanoseconds(info.st_mtim), nanoseconds(info.st_ctim)};
}

bool WatchedFile::changed()
{
    const Stamp seen = look();
    if (stamp_ == seen)
        return false;
    stamp_ = seen;
    return true;
}

std::optional<Bytes> WatchedFile::read() const { return read_file(path_, limit_); }

} // namespace imprint::central
