// SPDX-License-Identifier: Apache-2.0
// Who may have introductions: nobody but registered operators, each for what is permitted to him.
#pragma once

#include "provisioning/station/store.h"

namespace imprint::station {

enum class Permission { introduce, issue_tan };
std::string_view name(Permission permission); // "introduce", "issue-tan"

bool may(const Operator& entry, Permission permission);
void allow(Operator& entry, Permission permission);

// SHA-256 of the certificate's DER, lower-case hex.
std::string fingerprint_of(const pki::Certificate& certificate);

// The operator of this certificate, if he may do this now: Refusal(operator_unknown | operator_revoked |
// not_authorized). In the transaction of what is to be done, so that a revocation comes before it or after it.
Result<Operator> authorize(Store& store, const pki::Certificate& certificate, Permission permission);

// For audit log and journal: name and fingerprint.
std::string describe(const pki::Certificate& certificate);

} // namespace imprint::station
