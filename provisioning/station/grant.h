// SPDX-License-Identifier: Apache-2.0
// What a proven device is given. The caller keeps a transaction of the store around it.
#pragma once

#include "provisioning/station/check_backup.h"
#include "provisioning/station/station.h"
#include "provisioning/station/store.h"

namespace imprint::station {

// Refusal(chip_replaced) if another chip took its place.
Verdict check_in_service(Store& store, const std::string& chip);

// Whether the chip may come now: Refusal(chip_quarantined | chip_replaced | chip_already_known | sequence_taken). A
// chip whose backup is already here has to show its identity certificate, unless the operator readmitted it.
Verdict admit(Store& store, const Claim& claim);

struct Grants {
    protocol::Grant message;
    Granted granted;
    pki::DeviceIdentity identity;
    std::string introduced_by; // ", introduced by ..." for logs; empty without an introduction
    std::vector<std::string> revoked; // serials of earlier grants that never got their receipt
};

// Burns the introduction, assigns the identity, makes both certificates and the data package, enters chip and grant
// into the store. Refusal(identity_taken | identity_unconfirmed | no_identity_left | chip_already_known | key_mismatch
// | what admit() and usable_by() say | transaction_number_foreign: it was issued for another device identity | what
// make_package() says).
Result<Grants> grant(const Station& station, Store& store, const Claim& claim, const ProvenKey& key, pki::Time now);

} // namespace imprint::station
