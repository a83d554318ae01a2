// SPDX-License-Identifier: Apache-2.0
// The module key: made while the epoch is even, usable in the next odd one only.
#include "daemon/structures/encode.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/templates.h"
#include "daemon/tpm/attestation.h"
#include "daemon/tpm/rc.h"
#include "daemon/tpm/security_module.h"

namespace imprint::tpm {

struct SecurityModule::Work::Made {
    Received<TPM2B_PRIVATE> sensitive;
    Received<TPM2B_PUBLIC> object;
    Received<TPM2B_CREATION_DATA> data;
    Received<TPM2B_DIGEST> hash;
    Received<TPMT_TK_CREATION> ticket;
};

namespace {

// A signature by an unrestricted key needs no proof of where the digest comes from.
TPMT_TK_HASHCHECK no_ticket()
{
    TPMT_TK_HASHCHECK ticket{};
    ticket.tag = TPM2_ST_HASHCHECK;
    ticket.hierarchy = TPM2_RH_NULL;
    return ticket;
}

constexpr TPMT_SIG_SCHEME ecdsa_sha256{.scheme = TPM2_ALG_ECDSA, .details = {.ecdsa = {.hashAlg = TPM2_ALG_SHA256}}};

} // namespace

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

// PolicyNV: the counter stands at `odd_epoch`. [1]
void SecurityModule::Work::policy_epoch(std::uint64_t odd_epoch)
{
    const auto index = module_->epoch();
    const auto operand = structures::to_tpm2b<TPM2B_OPERAND>(structures::big_endian(odd_epoch));
    dirty_ = true;
    const auto rc = Esys_PolicyNV(module_->connection_.esys(), index, index, session_.tr(), ESYS_TR_PASSWORD,
                                  ESYS_TR_NONE, ESYS_TR_NONE, &operand, 0, TPM2_EO_EQ);
    if (is_missing(rc))
        throw Error(Reason::tpm_refused, "the epoch counter is not in the TPM");
    module_->connection_.check(rc, "satisfy the policy of the module key");
}

// Over SHA-256 of the message; ends the session. [1]
Bytes SecurityModule::Work::sign(const Transient& key, BytesView message)
{
    const auto digest = structures::to_tpm2b<TPM2B_DIGEST>(structures::digest(TPM2_ALG_SHA256, message));
    const auto ticket = no_ticket();
    Received<TPMT_SIGNATURE> signature;
    attributes(Use::over);
    const auto& connection = module_->connection_;
    connection.check(Esys_Sign(connection.esys(), key.tr(), session_.tr(), ESYS_TR_NONE, ESYS_TR_NONE, &digest,
                               &ecdsa_sha256, &ticket, signature.out()),
                     "sign with the module key");
    done(Use::over);
    return structures::to_der_signature(structures::marshal(*signature)).or_throw();
}

Bytes SecurityModule::sign_with_module_key(BytesView object, BytesView sensitive, std::uint64_t odd_epoch,
                                           BytesView message)
{
    Work work(*this);
    const auto key = work.load(object, sensitive);
    work.policy_epoch(odd_epoch);
    return work.sign(key, message);
}

} // namespace imprint::tpm
