// SPDX-License-Identifier: Apache-2.0
// The data package of one grant, by the operator's profile.
#pragma once

#include "backup/package/data_package.h"
#include "provisioning/station/check_hello.h"
#include "provisioning/station/station.h"
#include "provisioning/station/store.h"

namespace imprint::station {

// Derives, makes or takes its keys and secrets, and wraps each for the claim's storage key; pairs from the pool leave
// it with the caller's transaction. Refusal(pool_empty | profile_invalid: a secret for this device is missing |
// package_invalid: it got too large).
Result<package::DataPackage> make_package(const Station& station, Store& store, const Claim& claim,
                                          const pki::DeviceIdentity& identity, pki::Time now);

// Of certificates by the station's signing key: from an hour ago, for a device's clock may lag behind, for as long as
// the station's own holds.
pki::Validity device_validity(const Station& station, pki::Time now);

} // namespace imprint::station
