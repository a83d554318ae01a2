// SPDX-License-Identifier: Apache-2.0
// The checks of Proof: everything that Hello claimed is now shown to be inside one TPM.
#pragma once

#include "daemon/base/secret.h"
#include "daemon/structures/attest.h"
#include "provisioning/protocol/messages.pb.h"
#include "provisioning/station/check_hello.h"

namespace imprint::station {

// What the station remembers of its Challenge.
struct Asked {
    Bytes variation;
    Secret activation_secret; // empty where the device came with an identity certificate
    Bytes qualifying_data; // of this conversation
};

// A module key that was made in this conversation, by this TPM, under this chip storage key, for the coming epoch.
struct ProvenKey {
    TPMT_PUBLIC area{};
    Bytes qualified_name;
    Bytes spki;
};

// What every attestation of the conversation has to satisfy. Borrows from both.
structures::Expectation expectation(const Claim& claim, const Asked& asked);
structures::Attestation to_structure(const protocol::Attestation& message);

// Refusal(malformed_message | activation_failed | attestation_invalid | module_key_invalid | epoch_mismatch).
Result<ProvenKey> check_proof(const protocol::Proof& proof, const Claim& claim, const Asked& asked);

} // namespace imprint::station
