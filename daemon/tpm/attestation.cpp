// SPDX-License-Identifier: Apache-2.0
// What the identity key says about other objects of this TPM.
#include "daemon/structures/marshal.h"
#include "daemon/tpm/attestation.h"
#include "daemon/tpm/security_module.h"

namespace imprint::tpm {

const TPMT_SIG_SCHEME& keys_own_scheme()
{
    static const TPMT_SIG_SCHEME scheme{.scheme = TPM2_ALG_NULL, .details = {}};
    return scheme;
}

structures::Attestation attestation(const TPM2B_ATTEST& attest, const TPMT_SIGNATURE& signature)
{
    return {Bytes(attest.attestationData, attest.attestationData + attest.size), structures::marshal(signature)};
}

namespace {

// Certifies an object of ours; its ADMIN role takes the empty auth value, since adminWithPolicy is clear. [1]
structures::Attestation certify_object(const Connection& connection, ESYS_TR object, ESYS_TR signer,
                                       BytesView qualifying_data)
{
    const auto data = structures::to_tpm2b<TPM2B_DATA>(qualifying_data);
    Received<TPM2B_ATTEST> attest;
    Received<TPMT_SIGNATURE> signature;
    connection.check(Esys_Certify(connection.esys(), object, signer, ESYS_TR_PASSWORD, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                  &data, &keys_own_scheme(), attest.out(), signature.out()),
                     "certify a key");
    return attestation(*attest, *signature);
}

} // namespace

structures::Attestation SecurityModule::certify_storage_key(BytesView qualifying_data)
{
    make_room(); // for two persistent keys at once
    return certify_object(connection_, storage(), identity(), qualifying_data);
}

structures::Attestation SecurityModule::Work::certify(const Transient& object, BytesView qualifying_data)
{
    return certify_object(module_->connection_, object.tr(), module_->identity(), qualifying_data);
}

structures::Attestation SecurityModule::certify_epoch(BytesView qualifying_data)
{
    const auto index = epoch();
    const auto data = structures::to_tpm2b<TPM2B_DATA>(qualifying_data);
    Received<TPM2B_ATTEST> attest;
    Received<TPMT_SIGNATURE> signature;
    connection_.check(Esys_NV_Certify(connection_.esys(), identity(), index, index, ESYS_TR_PASSWORD, ESYS_TR_PASSWORD,
                                      ESYS_TR_NONE, &data, &keys_own_scheme(), epoch_public_.dataSize, 0, attest.out(),
                                      signature.out()),
                      "certify the epoch counter");
    return attestation(*attest, *signature);
}

} // namespace imprint::tpm
