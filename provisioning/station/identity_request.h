// SPDX-License-Identifier: Apache-2.0
// A device says who it wants to be, and an operator has the last word.
#pragma once

#include "provisioning/station/check_hello.h"
#include "provisioning/station/store.h"

namespace imprint::station {

// For a proven chip. What a new one asks for and nobody confirmed yet is listed for the operator, and refused:
// Refusal(identity_unconfirmed); identity_taken where it is another chip's. An introduction for a device is a
// confirmation. What a known chip may be is for grant() to say.
Verdict judge_request(Store& store, const Claim& claim, pki::Time now);

} // namespace imprint::station
