// SPDX-License-Identifier: Apache-2.0
// What imprint-authority says: to people, or with --json to programs.
#pragma once

#include "provisioning/authority/authority.h"

namespace imprint::authority {

void print(const std::vector<Issued>& issued, bool json);
// What was revoked just now; the rest was before.
void print_revoked(const std::vector<pki::Certificate>& revoked, bool json);

} // namespace imprint::authority
