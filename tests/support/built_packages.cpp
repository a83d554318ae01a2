// SPDX-License-Identifier: Apache-2.0
#include "tests/support/built_packages.h"

#include <algorithm>
#include <stdexcept>

namespace imprint::test {

namespace fs = std::filesystem;

std::vector<fs::path> built_packages()
{
    std::vector<fs::path> found;
    if (fs::exists(IMPRINT_TEST_PACKAGES))
        for (const auto& entry : fs::directory_iterator(IMPRINT_TEST_PACKAGES))
            if (entry.path().extension() == ".deb" && entry.path().string().find("-dbgsym_") == std::string::npos)
                found.push_back(entry.path());
    if (found.empty())
        throw std::runtime_error("there are no packages in " IMPRINT_TEST_PACKAGES ": ./check builds them");
    std::ranges::sort(found);
    return found;
}

} // namespace imprint::test
