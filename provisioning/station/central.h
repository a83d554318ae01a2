// SPDX-License-Identifier: Apache-2.0
// The central system's keys, certified by this station for its devices: the central set (claims A25 to A27).
#pragma once

#include "provisioning/station/station.h"
#include "provisioning/station/store.h"

namespace imprint::station {

// The present keys as one set with the present number, signed anew; empty where there is no key. A cross-certificate
// that is not, or no longer, for the present signing key is left out: it would make every device refuse the rest.
Bytes central_set(const Credentials& credentials, Store& store, pki::Time now);

} // namespace imprint::station
