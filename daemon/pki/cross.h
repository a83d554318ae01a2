// SPDX-License-Identifier: Apache-2.0
// The central system certifies a station's signing key, as the checking key does (claim A27). Such a certificate leads
// to no anchor: it counts beside a chain that does, and only together with the central's key that the station hands
// out.
#pragma once

#include "daemon/pki/certificate.h"

namespace imprint::pki {

// `cross` is for the key of `station` and signed by the key of `central`, and in time.
// Otherwise Refusal(cross_certificate_invalid).
Verdict check_cross_certificate(const Certificate& cross, const Certificate& station, const Certificate& central,
                                Time now);

} // namespace imprint::pki
