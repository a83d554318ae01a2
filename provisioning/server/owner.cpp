// SPDX-License-Identifier: Apache-2.0
#include "provisioning/server/owner.h"

#include "daemon/base/file.h"

#include <cstdlib>
#include <sys/stat.h>
#include <unistd.h>

namespace imprint::server {

AsOwnerOf::AsOwnerOf(const std::filesystem::path& directory)
{
    struct stat info { };
    if (geteuid() != 0 || stat(directory.empty() ? "." : directory.c_str(), &info) != 0 || info.st_uid == 0)
        return;
    former_group_ = getegid();
    if (setegid(info.st_gid) != 0 || seteuid(info.st_uid) != 0)
        throw_errno("cannot act as the owner of " + directory.string());
}

AsOwnerOf::~AsOwnerOf()
{
    // Going on as somebody whom nobody expects would be worse than ending.
    if (former_group_ && (seteuid(0) != 0 || setegid(*former_group_) != 0))
        std::abort();
}

} // namespace imprint::server
