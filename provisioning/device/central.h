// SPDX-License-Identifier: Apache-2.0
// The central system's keys on the device: what is demanded of a grant (claims A25 to A28) and of an update.
#pragma once

#include "daemon/lifecycle/store.h"
#include "provisioning/protocol/central_set.h"

#include <string>

namespace imprint::device {

// The device owner's policy.
struct CentralPolicy {
    bool required = false; // no personalization without the central system's keys
    protocol::CrossCertificates cross = protocol::CrossCertificates::where_present;
};

// The set of a grant, which has to be by the very station. Refusal: what open_central_set() says;
// central_not_certified where another station signed it, or where there is none and the policy demands one.
Verdict check_central_set(BytesView set, const pki::Certificate& station, const pki::Trust& trust,
                          const CentralPolicy& policy, pki::Time now);

// The personalization with the update in it, or nothing where that says the same as the present set. Signed by any
// station that is valid now. Refusal: what open_central_set() and supersedes() say.
Result<std::optional<lifecycle::Personalization>> updated(lifecycle::Personalization present, BytesView set,
                                                          const pki::Trust& trust, const CentralPolicy& policy,
                                                          pki::Time now);

} // namespace imprint::device
