// SPDX-License-Identifier: Apache-2.0
// A real nginx that serves a mirror with the configuration that archive.md shows.
#pragma once

#include "tests/support/process.h"

namespace imprint::test {

class Nginx {
public:
    explicit Nginx(const std::filesystem::path& mirror);

    std::pair<std::string, Bytes> get(const std::string& path) const; // status and body
    std::filesystem::path socket() const { return directory_ / "socket"; }
    pid_t pid() const { return process_->pid(); }

private:
    TemporaryDirectory directory_;
    std::optional<Process> process_;
};

} // namespace imprint::test
