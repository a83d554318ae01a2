// SPDX-License-Identifier: Apache-2.0
// One connection to a TPM: the ESYS context over a TCTI. Not thread-safe: one thread owns it (see worker.h).
#pragma once

#include "daemon/base/owned.h"
#include "daemon/base/secret.h"

#include <tss2/tss2_esys.h>

#include <functional>
#include <string>

namespace imprint::tpm {

// What the operator may configure. The handles are ours alone; nothing else in the TPM is ever touched.
struct Settings {
    std::string tcti = "device:/dev/tpmrm0"; // as tss2-tctildr reads it
    TPM2_HANDLE storage_key = 0x8100494D; // persistent handle of the chip storage key
    TPM2_HANDLE identity_key = 0x8100494E; // persistent handle of the identity key
    TPM2_HANDLE key_file_parent = 0x8100494F; // persistent handle of the parent of key files, while there are any
    TPM2_HANDLE epoch_index = 0x0180494D; // NV index of the epoch counter
    TPM2_HANDLE anchor_index = 0x0180494E; // NV index with the SHA-256 of the manufacturer's checking key
    Secret owner_auth; // empty where the owner has set none
    Secret endorsement_auth;
};

using Tcti = std::unique_ptr<TSS2_TCTI_CONTEXT, std::function<void(TSS2_TCTI_CONTEXT*)>>;

class Connection {
public:
    // Opens the TCTI that `conf` names. Throws Error(tpm_unavailable).
    explicit Connection(const std::string& conf);
    // Takes over a TCTI (tests count, cut and falsify in one of their own).
    explicit Connection(Tcti tcti);

    ESYS_CONTEXT* esys() const { return esys_.get(); }
    // For what may outlive the connection and has nothing left to do then.
    std::weak_ptr<ESYS_CONTEXT> watch() const { return esys_; }
    // Throws the Error that rc.h assigns to the code; `doing` completes "TPM: cannot ...".
    void check(TSS2_RC rc, const std::string& doing) const;

private:
    Tcti tcti_;
    std::shared_ptr<ESYS_CONTEXT> esys_; // owned here alone
};

} // namespace imprint::tpm
