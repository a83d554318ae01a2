// SPDX-License-Identifier: Apache-2.0
// What a dishonest owner does with a TPM, past the security module.
#pragma once

#include "daemon/structures/wrap.h"
#include "tests/station/honest_device.h"

namespace imprint::test {

class RawTpm {
public:
    explicit RawTpm(HonestDevice& device);

    // An NV index of any kind at a handle of the attacker's choice, written (or incremented) once to an even value.
    TPMS_NV_PUBLIC define_index(TPMI_RH_NV_INDEX handle, TPMA_NV attributes);
    // TPM2_NV_Certify by the identity key.
    structures::Attestation certify_index(const TPMS_NV_PUBLIC& index, BytesView qualifying_data);
    // A primary of this template in another hierarchy, and TPM2_Certify of it by the identity key.
    struct Clone {
        TPMT_PUBLIC area;
        structures::Attestation certified;
    };
    Clone clone(const TPMT_PUBLIC& area_template, ESYS_TR hierarchy, BytesView qualifying_data);
    // A key of this template under the chip storage key, with an honest creation proof of it; `hierarchy`: under a
    // clone of the storage key there.
    struct Made {
        TPMT_PUBLIC area;
        Bytes creation_data; // TPMS_CREATION_DATA
        structures::Attestation creation;
    };
    Made create(const TPMT_PUBLIC& area_template, BytesView outside_info, BytesView qualifying_data,
                std::optional<ESYS_TR> hierarchy = {});
    // TPM2_Quote by the identity key.
    structures::Attestation quote(BytesView qualifying_data);
    // Loads only the public part of a key and tries to open a credential that was made for it and the RSA EK of a
    // manufactured TPM. The response code.
    TSS2_RC activate_public_only(const TPMT_PUBLIC& key, const structures::Credential& credential);

private:
    ESYS_TR persistent(TPM2_HANDLE handle);
    std::pair<ESYS_TR, TPMT_PUBLIC> primary(const TPMT_PUBLIC& area_template, ESYS_TR hierarchy);
    ESYS_TR policy_session();
    // For one command with the chip storage key.
    ESYS_TR storage_session(TPM2_CC command);
    tpm::Connection connection_;
    ESYS_CONTEXT* esys_;
    ESYS_TR identity_key_;
};

} // namespace imprint::test
