// SPDX-License-Identifier: Apache-2.0
// A directory that appears with all its files or not at all.
#pragma once

#include <filesystem>

namespace imprint::authority {

// Made beside its place under a temporary name, mode 0700; moved there by commit(), removed without it. Throws
// Error(storage_failed). The place must not exist, or be an empty directory.
class NewDirectory {
public:
    explicit NewDirectory(std::filesystem::path place);
    NewDirectory(const NewDirectory&) = delete;
    NewDirectory& operator=(const NewDirectory&) = delete;
    ~NewDirectory();

    const std::filesystem::path& path() const { return path_; } // until commit()
    void commit(); // durable when it returns

private:
    std::filesystem::path place_;
    std::filesystem::path path_;
};

} // namespace imprint::authority
