// SPDX-License-Identifier: Apache-2.0
// Which device identities a station's certificates are good for: a stolen one is worth no more than its ranges.
#pragma once

#include "daemon/pki/profile.h"

namespace imprint::pki {

// Identities of one kind and one length, bytewise from `first` to `last`.
struct IdentityRange {
    std::string kind, first, last;
    friend bool operator==(const IdentityRange&, const IdentityRange&) = default;
};
using Scope = std::vector<IdentityRange>; // empty: every identity

// "serial:SN000001..SN009999". Throws Error(invalid_argument).
IdentityRange parse_range(const std::string& text);

// Whether a certificate of a station or an identity CA may stand behind this identity.
// Otherwise Refusal(identity_out_of_scope), also where the extension is there but cannot be read.
Verdict check_scope(const Certificate& issuer, const DeviceIdentity& identity);

} // namespace imprint::pki
