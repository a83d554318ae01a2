// SPDX-License-Identifier: Apache-2.0
// A file that others replace while we run.
#pragma once

#include "daemon/base/bytes.h"

#include <ctime>
#include <filesystem>
#include <optional>
#include <sys/types.h>

namespace imprint::central {

class WatchedFile {
public:
    WatchedFile(std::filesystem::path path, std::size_t limit);

    const std::filesystem::path& path() const { return path_; }
    // Whether it is another one than at the last call, by what stat(2) tells; true at the first.
    bool changed();
    void look_again() { stamp_.reset(); } // at the next call, as at the first
    // Nothing if it is not there. Throws Error(storage_failed).
    std::optional<Bytes> read() const;

private:
    struct Stamp {
        dev_t device = 0;
        ino_t inode = 0;
        off_t size = -1; // there is none
        std::int64_t modified = 0; // nanoseconds
        std::int64_t status_changed = 0;
        bool operator==(const Stamp&) const = default;
    };
    Stamp look() const;

    std::filesystem::path path_;
    std::size_t limit_;
    std::optional<Stamp> stamp_;
};

} // namespace imprint::central
