// SPDX-License-Identifier: Apache-2.0
// Programs as child processes, for tests of the real binaries.
#pragma once

#include "daemon/base/file.h"

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace imprint::test {

using Arguments = std::vector<std::string>;
using Environment = std::vector<std::pair<std::string, std::string>>;

struct Finished {
    int status = -1; // exit code, or 128 + signal
    std::string out;
    std::string err;
};

// Runs a program to its end; throws std::runtime_error if it takes longer than `limit`.
Finished run(const Arguments& arguments, const std::string& input = {}, const Environment& environment = {},
             std::chrono::seconds limit = std::chrono::seconds(60));

// A program in the background. Killed and reaped at the end of its life.
class Process {
public:
    // `extra` descriptors keep their numbers in the child. Standard error goes to `log` (appended) if one is given.
    explicit Process(const Arguments& arguments, const Environment& environment = {},
                     const std::filesystem::path& log = {}, const std::vector<int>& extra = {});
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;
    Process(Process&& other) noexcept;
    Process& operator=(Process&& other) noexcept;
    ~Process();

    pid_t pid() const { return pid_; }
    bool running();
    // The rest of the first line on its standard output that starts with `prefix`, or nothing if the program ends
    // before. Throws std::runtime_error after `limit`.
    std::optional<std::string> line_after(const std::string& prefix,
                                          std::chrono::seconds limit = std::chrono::seconds(30));
    void signal(int number);
    // The exit code, or 128 + signal. Throws std::runtime_error after `limit`.
    int wait(std::chrono::seconds limit = std::chrono::seconds(30));

private:
    pid_t pid_ = -1;
    std::optional<int> status_;
    Fd output_;
    std::string pending_;
};

// A directory that is removed with everything in it.
class TemporaryDirectory {
public:
    TemporaryDirectory();
    ~TemporaryDirectory();
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    const std::filesystem::path& path() const { return path_; }
    std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

private:
    std::filesystem::path path_;
};

} // namespace imprint::test
