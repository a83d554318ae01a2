// SPDX-License-Identifier: Apache-2.0
// Data packages whose parent and children do not belong together, each with the reason for which a device refuses it.
#pragma once

#include "daemon/base/error.h"
#include "tests/package/software_parent.h"

#include <functional>
#include <vector>

namespace imprint::test {

struct BrokenPackage {
    std::string what;
    std::function<void(package::DataPackage&)> change; // of one with at least two keys under its parent
    Reason reason;
};
std::vector<BrokenPackage> broken_packages(const TPMT_PUBLIC& storage_key);

} // namespace imprint::test
