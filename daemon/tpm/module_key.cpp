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

namespace {

struct Made {
    Received<TPM2B_PRIVATE> sensitive;
    Received<TPM2B_PUBLIC> object;
    Received<TPM2B_CREATION_DATA> data;
    Received<TPM2B_DIGEST> hash;
    Received<TPMT_TK_CREATION> ticket;
};

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

CreatedModuleKey SecurityModule::Work::create_module_key(std::uint64_t odd_epoch, BytesView variation,
                                                         BytesView qualifying_data)
{
    const auto& connection = module_->connection_;
    const auto stir = structures::to_tpm2b<TPM2B_SENSITIVE_DATA>(variation);
    connection.check(Esys_StirRandom(connection.esys(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &stir),
                     "stir the random number generator");

    const TPM2B_SENSITIVE_CREATE no_auth{};
    const TPM2B_PUBLIC in{0, structures::module_key_template(module_->epoch_index_name(), odd_epoch)};
    const auto outside = structures::to_tpm2b<TPM2B_DATA>(variation);
    const TPML_PCR_SELECTION no_pcrs{};
    authorize(TPM2_CC_Create);
    attributes(Use::again);
    Made made;
    connection.check(Esys_Create(connection.esys(), module_->storage(), session_.tr(), ESYS_TR_NONE, ESYS_TR_NONE,
                                 &no_auth, &in, &outside, &no_pcrs, made.sensitive.out(), made.object.out(),
                                 made.data.out(), made.hash.out(), made.ticket.out()),
                     "create the module key");
    done(Use::again);

    CreatedModuleKey out{
        structures::marshal(*made.object), structures::marshal(*made.sensitive), structures::marshal(*made.data), {}};
    const auto key = load(out.object, out.sensitive, use());
    const auto qualifying = structures::to_tpm2b<TPM2B_DATA>(qualifying_data);
    Received<TPM2B_ATTEST> attest;
    Received<TPMT_SIGNATURE> signature;
    connection.check(Esys_CertifyCreation(connection.esys(), module_->identity(), key.tr(), ESYS_TR_PASSWORD,
                                          ESYS_TR_NONE, ESYS_TR_NONE, &qualifying, &*made.hash, &keys_own_scheme(),
                                          &*made.ticket, attest.out(), signature.out()),
                     "certify the creation of the module key");
    out.creation = attestation(*attest, *signature);
    return out;
}

Bytes SecurityModule::sign_with_module_key(BytesView object, BytesView sensitive, std::uint64_t odd_epoch,
                                           BytesView message)
{
    const auto index = epoch();
    Work work(*this);
    const auto key = work.load(object, sensitive);
    const auto policy = work.session_.tr();
    const auto operand = structures::to_tpm2b<TPM2B_OPERAND>(structures::big_endian(odd_epoch));
    work.dirty_ = true;
    const auto rc = Esys_PolicyNV(connection_.esys(), index, index, policy, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                  ESYS_TR_NONE, &operand, 0, TPM2_EO_EQ);
    if (is_missing(rc))
        throw Error(Reason::tpm_refused, "the epoch counter is not in the TPM");
    connection_.check(rc, "satisfy the policy of the module key");

    const auto digest = structures::to_tpm2b<TPM2B_DIGEST>(structures::digest(TPM2_ALG_SHA256, message));
    const auto ticket = no_ticket();
    Received<TPMT_SIGNATURE> signature;
    work.last();
    work.attributes(Work::Use::over);
    connection_.check(Esys_Sign(connection_.esys(), key.tr(), policy, ESYS_TR_NONE, ESYS_TR_NONE, &digest,
                                &ecdsa_sha256, &ticket, signature.out()),
                      "sign with the module key");
    work.done(Work::Use::over);
    return structures::to_der_signature(structures::marshal(*signature)).or_throw();
}

} // namespace imprint::tpm
