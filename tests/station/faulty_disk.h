// SPDX-License-Identifier: Apache-2.0
// A disk that breaks: the default SQLite file system of this process, whose writes and syncs can be made to fail.
#pragma once

#include <cstddef>

namespace imprint::test {

class FaultyDisk {
public:
    FaultyDisk(); // databases opened from now on are on it
    ~FaultyDisk();
    FaultyDisk(const FaultyDisk&) = delete;
    FaultyDisk& operator=(const FaultyDisk&) = delete;

    void break_at(std::size_t operation); // this write or sync, counted from 1 from now, and all later ones fail
    void repair();
};

} // namespace imprint::test
