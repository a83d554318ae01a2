// SPDX-License-Identifier: Apache-2.0
// The checks of Backup: the record is this conversation's, and the TPM has loaded every key from its bytes.
#pragma once

#include "backup/package/package.pb.h"
#include "backup/package/record.h"
#include "provisioning/station/check_proof.h"

namespace imprint::station {

// What the station granted in this conversation.
struct Granted {
    std::string serial; // of the module certificate
    Bytes identity_certificate;
    package::DataPackage package;
    ProvenKey module_key;
};

// Refusal(record_invalid | record_foreign | package_invalid | attestation_invalid | what open_device_record says).
Result<package::Record> check_backup(const protocol::Backup& backup, const Claim& claim, const Asked& asked,
                                     const Granted& granted, const pki::Trust& trust, pki::Time now);

} // namespace imprint::station
