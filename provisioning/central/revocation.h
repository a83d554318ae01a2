// SPDX-License-Identifier: Apache-2.0
// Revocation lists: which are believed, and which certificates they name. Free of I/O.
#pragma once

#include "daemon/pki/verify.h"
#include "provisioning/central/store.h"

namespace imprint::central {

// The lists of a PEM file, each checked: signed by a station's signing key or by one of the manufacturer's CAs, whose
// certificate stands in the file or in the trust bundle and is good for it, and numbered. All of them, or the reason
// against: signature_invalid, malformed_message, the chain's reasons.
Result<std::vector<StoredList>> open_lists(BytesView pem, const pki::Trust& trust, pki::Time now);

} // namespace imprint::central
