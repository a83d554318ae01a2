// SPDX-License-Identifier: Apache-2.0
// Faults of the file system below this program, at every single change that it makes of files and directories.
#pragma once

namespace imprint::test {

enum class FileFault {
    none,
    error, // nothing is done
    cut, // the process ends right after it; of a write half is done
};

// Asked by the thread that has set it, before each write, sync, rename and removal of its own.
extern thread_local FileFault (*file_fault)();
extern thread_local int file_error; // the errno of an error

constexpr int cut_off = 99; // the exit status of a cut

} // namespace imprint::test
