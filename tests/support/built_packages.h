// SPDX-License-Identifier: Apache-2.0
// The Debian packages that ./check has made of the build under test.
#pragma once

#include <filesystem>
#include <vector>

namespace imprint::test {

// In the order of their names. Throws std::runtime_error if there are none.
std::vector<std::filesystem::path> built_packages();

} // namespace imprint::test
