// SPDX-License-Identifier: Apache-2.0
// What the maker of a TPM does, by swtpm_setup with a CA of the tests' own; kept in the build directory.
#pragma once

#include "daemon/base/bytes.h"

#include <filesystem>

namespace imprint::test {

// The state file of a manufactured TPM; made at the first call for this chip in a build directory.
std::filesystem::path manufactured_state(unsigned chip);
// PEM of the vendor's root and intermediate.
Bytes manufactured_vendor_ca();

} // namespace imprint::test
