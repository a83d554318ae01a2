// SPDX-License-Identifier: Apache-2.0
// The module key's making, while the epoch is even; operating_keys.cpp is its use.
#include "daemon/structures/marshal.h"
#include "daemon/structures/templates.h"
#include "daemon/tpm/attestation.h"
#include "daemon/tpm/security_module.h"

namespace imprint::tpm {

struct SecurityModule::Work::Made {
    Received<TPM2B_PRIVATE> sensitive;
    Received<TPM2B_PUBLIC> object;
    Received<TPM2B_CREATION_DATA> data;
    Received<TPM2B_DIGEST> hash;
    Received<TPMT_TK_CREATION> ticket;
};

// TPM2_Create with the variation value as outsideInfo. [3]
void SecurityModule::Work::create(std::uint64_t odd_epoch, BytesView variation, Made& made)
{
    const TPM2B_SENSITIVE_CREATE no_auth{};
    const TPM2B_PUBLIC in{0, structures::module_key_template(module_->epoch_index_name(), odd_epoch)};
    const auto outside = structures::to_tpm2b<TPM2B_DATA>(variation);
    const TPML_PCR_SELECTION no_pcrs{};
    authorize(TPM2_CC_Create);
    attributes(Use::again);
    const auto& connection = module_->connection_;
    connection.check(Esys_Create(connection.esys(), module_->storage(), session_.tr(), ESYS_TR_NONE, ESYS_TR_NONE,
                                 &no_auth, &in, &outside, &no_pcrs, made.sensitive.out(), made.object.out(),
                                 made.data.out(), made.hash.out(), made.ticket.out()),
                     "create the module key");
    done(Use::again);
}

structures::Attestation SecurityModule::Work::certify_creation(const Transient& key, const Made& made,
                                                               BytesView qualifying_data)
{
    const auto data = structures::to_tpm2b<TPM2B_DATA>(qualifying_data);
    Received<TPM2B_ATTEST> attest;
    Received<TPMT_SIGNATURE> signature;
    const auto& connection = module_->connection_;
    connection.check(Esys_CertifyCreation(connection.esys(), module_->identity(), key.tr(), ESYS_TR_PASSWORD,
                                          ESYS_TR_NONE, ESYS_TR_NONE, &data, &*made.hash, &keys_own_scheme(),
                                          &*made.ticket, attest.out(), signature.out()),
                     "certify the creation of the module key");
    return attestation(*attest, *signature);
}

CreatedModuleKey SecurityModule::Work::create_module_key(std::uint64_t odd_epoch, BytesView variation,
                                                         BytesView qualifying_data)
{
    const auto& connection = module_->connection_;
    const auto stir = structures::to_tpm2b<TPM2B_SENSITIVE_DATA>(variation);
    connection.check(Esys_StirRandom(connection.esys(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &stir),
                     "stir the random number generator");
    Made made;
    create(odd_epoch, variation, made);
    CreatedModuleKey out{
        structures::marshal(*made.object), structures::marshal(*made.sensitive), structures::marshal(*made.data), {}};
    const auto key = load(out.object, out.sensitive, use());
    out.creation = certify_creation(key, made, qualifying_data);
    return out;
}

} // namespace imprint::tpm
