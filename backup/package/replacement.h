// SPDX-License-Identifier: Apache-2.0
// A station's word that a device goes on with another chip (repair with a new board): CMS SignedData by its signing
// key.
#pragma once

#include "daemon/pki/cms.h"
#include "daemon/pki/profile.h"
#include "daemon/pki/verify.h"

#include <optional>

namespace imprint::package {

inline constexpr std::size_t max_replacement = 16 * 1024;

struct Replacement {
    pki::DeviceIdentity identity; // which device
    std::string former, present; // chip identifiers
    pki::Time time; // by the station's clock
    std::string reason; // the operator's words, for everybody to read
    friend bool operator==(const Replacement&, const Replacement&) = default;
};

// Two different chips, an identity in its canonical form, a reason of 1 to 128 characters of printable ASCII; otherwise
// Refusal(invalid_argument).
Verdict check(const Replacement& replacement);

// Throws Error where check() refuses.
Bytes make_replacement(const Replacement& replacement, const pki::Certificate& station, EVP_PKEY* key,
                       const pki::Certificates& issuers);

// Exactly one signer, in the role of a station's signing key, whose certificate is good for the identity. Without `now`
// its chain is judged at the statement's own time. Refusal(record_invalid | signature_invalid | identity_out_of_scope |
// the chain's reasons).
Result<Replacement> open_replacement(BytesView statement, const pki::Trust& trust, std::optional<pki::Time> now);

} // namespace imprint::package
