// SPDX-License-Identifier: Apache-2.0
#include "provisioning/server/owner.h"

#include "daemon/base/file.h"

#include <cstdlib>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace imprint::server {

namespace {

// For root in somebody else's directory: whose it is.
std::optional<struct stat> other_owner(const std::filesystem::path& directory)
{
    struct stat info { };
    if (geteuid() != 0 || stat(directory.empty() ? "." : directory.c_str(), &info) != 0 || info.st_uid == 0)
        return std::nullopt;
    return info;
}

} // namespace

AsOwnerOf::AsOwnerOf(const std::filesystem::path& directory)
{
    const auto owner = other_owner(directory);
    if (!owner)
        return;
    former_group_ = getegid();
    if (setegid(owner->st_gid) != 0 || seteuid(owner->st_uid) != 0)
        throw_errno("cannot act as the owner of " + directory.string());
}

AsOwnerOf::~AsOwnerOf()
{
    // Going on as somebody whom nobody expects would be worse than ending.
    if (former_group_ && (seteuid(0) != 0 || setegid(*former_group_) != 0))
        std::abort();
}

void give_to_owner(const std::filesystem::path& file)
{
    const auto owner = other_owner(file.parent_path());
    if (!owner)
        return;
    // With O_PATH nothing is opened: closing it leaves SQLite's locks alone.
    const Fd fd(open(file.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat info { };
    // A second link may be a file of root's elsewhere, which the directory's owner has linked here.
    if (!fd || fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode) || info.st_uid != 0 || info.st_nlink != 1)
        return;
    if (fchownat(fd.get(), "", owner->st_uid, owner->st_gid, AT_EMPTY_PATH) != 0)
        throw_errno("cannot give " + file.string() + " to its directory's owner");
}

} // namespace imprint::server
