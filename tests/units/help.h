// SPDX-License-Identifier: Apache-2.0
// What a program's --help says.
#pragma once

#include "tests/support/process.h"

#include <set>

namespace imprint::test {

using Words = std::set<std::string>;

struct Help {
    std::vector<std::string> commands;
    Words options;
};

Help help_of(const std::filesystem::path& program, const Arguments& command);
// Of the program and all its commands.
Words all_options(const std::filesystem::path& program, const Arguments& command = {});

} // namespace imprint::test
