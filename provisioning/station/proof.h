// SPDX-License-Identifier: Apache-2.0
// The proof of recoverability, as it is kept: before the station acknowledged the record, this TPM had opened it and
// loaded every key from it.
#pragma once

#include "backup/package/record.h"
#include "provisioning/station/check_backup.h"

namespace imprint::station {

// What check_backup() has accepted.
Bytes keep_proof(const protocol::Backup& backup, const Claim& claim, const Asked& asked, const Granted& granted);

// What a kept proof says, once it was verified again.
struct Proven {
    std::vector<std::string> keys; // labels of the data package's keys
};
// Without the TPM and without the network: every attestation is by the identity key that the record is of, and about a
// child of the chip storage key that the module certificate granted for it names. The certificates are judged at their
// own time. Refusal(record_invalid | record_foreign | key_mismatch | attestation_invalid | what open_record says).
Result<Proven> verify_proof(BytesView proof, BytesView record, BytesView module_certificate, const pki::Trust& trust);

} // namespace imprint::station
