// SPDX-License-Identifier: Apache-2.0
// Root's commands on a service's state: what they make there has to belong to the service.
#pragma once

#include <filesystem>
#include <optional>

#include <sys/types.h>

namespace imprint::server {

// While it lives, files that root makes in `directory` belong to the directory's owner and group from the first moment
// on. Does nothing for others, who make what is theirs, and in root's own directories. For a moment in which nothing
// outside the directory is opened: the process acts as the owner meanwhile.
// SQLite takes care of its own side files: they get the database's owner.
class AsOwnerOf {
public:
    // Throws Error(storage_failed).
    explicit AsOwnerOf(const std::filesystem::path& directory);
    ~AsOwnerOf();
    AsOwnerOf(const AsOwnerOf&) = delete;
    AsOwnerOf& operator=(const AsOwnerOf&) = delete;

private:
    std::optional<gid_t> former_group_; // set if the process acts as somebody else
};

// Gives a file that root has put into somebody else's directory, as a copy that is brought back, to the directory's
// owner. Does nothing for others than root, and to what is no file of root's there alone. Throws Error(storage_failed).
void give_to_owner(const std::filesystem::path& file);

} // namespace imprint::server
