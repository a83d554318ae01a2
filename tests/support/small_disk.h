// SPDX-License-Identifier: Apache-2.0
// A file system of a few MiB that can really be full. Needs to be root.
#pragma once

#include "tests/support/process.h"

namespace imprint::test {

class SmallDisk {
public:
    // Mounted over this directory, with what was in it; seen by this thread and the programs that it starts from now
    // on.
    SmallDisk(std::filesystem::path directory, unsigned mebibytes);
    ~SmallDisk();
    SmallDisk(const SmallDisk&) = delete;
    SmallDisk& operator=(const SmallDisk&) = delete;

    void fill(); // to the last block
    void make_room();
    std::filesystem::path operator/(const std::string& name) const { return directory_ / name; }

private:
    std::filesystem::path filler() const { return directory_ / ".filler"; }
    std::filesystem::path directory_;
};

} // namespace imprint::test
