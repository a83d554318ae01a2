// SPDX-License-Identifier: Apache-2.0
#include "tests/station/raw_tpm.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/policy.h"
#include "daemon/structures/templates.h"

namespace imprint::test {

namespace {

constexpr TPM2_HANDLE rsa_ek = 0x81010001;

template <class T>
using Received = Owned<T, Esys_Free>;

void check(TSS2_RC rc, const char* what)
{
    if (rc != TSS2_RC_SUCCESS)
        throw std::runtime_error(std::string(what) + ": " + std::to_string(rc));
}

structures::Attestation attestation(const TPM2B_ATTEST& attest, const TPMT_SIGNATURE& signature)
{
    return {Bytes(attest.attestationData, attest.attestationData + attest.size), structures::marshal(signature)};
}

constexpr TPMT_SIG_SCHEME own_scheme{.scheme = TPM2_ALG_NULL, .details = {}};

} // namespace

RawTpm::RawTpm(HonestDevice& device)
    : connection_(device.wire.tcti())
    , esys_(connection_.esys())
    , identity_key_(persistent(tpm::Settings().identity_key))
{
}

ESYS_TR RawTpm::persistent(TPM2_HANDLE handle)
{
    ESYS_TR object = ESYS_TR_NONE;
    check(Esys_TR_FromTPMPublic(esys_, handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &object), "look up");
    return object;
}

TPMS_NV_PUBLIC RawTpm::define_index(TPMI_RH_NV_INDEX handle, TPMA_NV attributes)
{
    TPM2B_NV_PUBLIC area{
        .size = 0,
        .nvPublic = {
            .nvIndex = handle, .nameAlg = TPM2_ALG_SHA256, .attributes = attributes, .authPolicy = {}, .dataSize = 8}};
    const TPM2B_AUTH none{};
    ESYS_TR index = ESYS_TR_NONE;
    check(Esys_NV_DefineSpace(esys_, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &none, &area,
                              &index),
          "define");
    if ((attributes & TPMA_NV_TPM2_NT_MASK) >> TPMA_NV_TPM2_NT_SHIFT == TPM2_NT_COUNTER) {
        for (int i = 0; i < 2; ++i)
            check(Esys_NV_Increment(esys_, ESYS_TR_RH_OWNER, index, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE),
                  "increment");
    } else {
        const TPM2B_MAX_NV_BUFFER even{.size = 8, .buffer = {0, 0, 0, 0, 0, 0, 0, 2}};
        check(Esys_NV_Write(esys_, ESYS_TR_RH_OWNER, index, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &even, 0),
              "write");
    }
    TPM2B_NV_PUBLIC* read = nullptr;
    TPM2B_NAME* name = nullptr;
    check(Esys_NV_ReadPublic(esys_, index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &read, &name), "read public");
    const Received<TPM2B_NV_PUBLIC> owned(read);
    const Received<TPM2B_NAME> owned_name(name);
    check(Esys_TR_Close(esys_, &index), "close");
    return owned->nvPublic;
}

structures::Attestation RawTpm::certify_index(const TPMS_NV_PUBLIC& index, BytesView qualifying_data)
{
    const auto data = structures::to_tpm2b<TPM2B_DATA>(qualifying_data);
    TPM2B_ATTEST* attest = nullptr;
    TPMT_SIGNATURE* signature = nullptr;
    check(Esys_NV_Certify(esys_, identity_key_, ESYS_TR_RH_OWNER, persistent(index.nvIndex), ESYS_TR_PASSWORD,
                          ESYS_TR_PASSWORD, ESYS_TR_NONE, &data, &own_scheme, 8, 0, &attest, &signature),
          "certify an index");
    const Received<TPM2B_ATTEST> owned_attest(attest);
    const Received<TPMT_SIGNATURE> owned_signature(signature);
    return attestation(*attest, *signature);
}

std::pair<ESYS_TR, TPMT_PUBLIC> RawTpm::primary(const TPMT_PUBLIC& area_template, ESYS_TR hierarchy)
{
    const TPM2B_SENSITIVE_CREATE sensitive{};
    const TPM2B_PUBLIC area{.size = 0, .publicArea = area_template};
    const TPM2B_DATA outside{};
    const TPML_PCR_SELECTION pcrs{};
    TPM2B_PUBLIC* made = nullptr;
    ESYS_TR object = ESYS_TR_NONE;
    check(Esys_CreatePrimary(esys_, hierarchy, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &area,
                             &outside, &pcrs, &object, &made, nullptr, nullptr, nullptr),
          "create a primary");
    const Received<TPM2B_PUBLIC> owned_area(made);
    return {object, made->publicArea};
}

RawTpm::Clone RawTpm::clone(const TPMT_PUBLIC& area_template, ESYS_TR hierarchy, BytesView qualifying_data)
{
    const auto [object, area] = primary(area_template, hierarchy);
    const auto data = structures::to_tpm2b<TPM2B_DATA>(qualifying_data);
    TPM2B_ATTEST* attest = nullptr;
    TPMT_SIGNATURE* signature = nullptr;
    check(Esys_Certify(esys_, object, identity_key_, ESYS_TR_PASSWORD, ESYS_TR_PASSWORD, ESYS_TR_NONE, &data,
                       &own_scheme, &attest, &signature),
          "certify a clone");
    const Received<TPM2B_ATTEST> owned_attest(attest);
    const Received<TPMT_SIGNATURE> owned_signature(signature);
    check(Esys_FlushContext(esys_, object), "flush");
    return {area, attestation(*attest, *signature)};
}

ESYS_TR RawTpm::policy_session()
{
    constexpr TPMT_SYM_DEF plain{.algorithm = TPM2_ALG_NULL, .keyBits = {}, .mode = {}};
    ESYS_TR session = ESYS_TR_NONE;
    check(Esys_StartAuthSession(esys_, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, nullptr,
                                TPM2_SE_POLICY, &plain, TPM2_ALG_SHA256, &session),
          "start a session");
    check(Esys_TRSess_SetAttributes(esys_, session, 0, 0xff), "end it with its command");
    return session;
}

ESYS_TR RawTpm::storage_session(TPM2_CC command)
{
    const ESYS_TR session = policy_session();
    check(Esys_PolicyCommandCode(esys_, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, command), "policy");
    TPML_DIGEST branches{};
    for (const auto& branch : structures::storage_key_policy_branches())
        branches.digests[branches.count++] = structures::to_tpm2b<TPM2B_DIGEST>(branch);
    check(Esys_PolicyOR(esys_, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &branches), "policy");
    return session;
}

RawTpm::Made RawTpm::create(const TPMT_PUBLIC& area_template, BytesView outside_info, BytesView qualifying_data,
                            std::optional<ESYS_TR> hierarchy)
{
    const ESYS_TR parent = hierarchy ? primary(structures::storage_key_template(), *hierarchy).first
                                     : persistent(tpm::Settings().storage_key);
    const TPM2B_SENSITIVE_CREATE sensitive{};
    const TPM2B_PUBLIC area{.size = 0, .publicArea = area_template};
    const auto outside = structures::to_tpm2b<TPM2B_DATA>(outside_info);
    const TPML_PCR_SELECTION pcrs{};
    TPM2B_PRIVATE* made_private = nullptr;
    TPM2B_PUBLIC* made = nullptr;
    TPM2B_CREATION_DATA* creation = nullptr;
    TPM2B_DIGEST* hash = nullptr;
    TPMT_TK_CREATION* ticket = nullptr;
    check(Esys_Create(esys_, parent, storage_session(TPM2_CC_Create), ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &area,
                      &outside, &pcrs, &made_private, &made, &creation, &hash, &ticket),
          "create a key");
    const Received<TPM2B_PRIVATE> owned_private(made_private);
    const Received<TPM2B_PUBLIC> owned_area(made);
    const Received<TPM2B_CREATION_DATA> owned_creation(creation);
    const Received<TPM2B_DIGEST> owned_hash(hash);
    const Received<TPMT_TK_CREATION> owned_ticket(ticket);
    ESYS_TR object = ESYS_TR_NONE;
    check(Esys_Load(esys_, parent, storage_session(TPM2_CC_Load), ESYS_TR_NONE, ESYS_TR_NONE, made_private, made,
                    &object),
          "load a key");
    const auto data = structures::to_tpm2b<TPM2B_DATA>(qualifying_data);
    TPM2B_ATTEST* attest = nullptr;
    TPMT_SIGNATURE* signature = nullptr;
    check(Esys_CertifyCreation(esys_, identity_key_, object, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &data, hash,
                               &own_scheme, ticket, &attest, &signature),
          "certify a creation");
    const Received<TPM2B_ATTEST> owned_attest(attest);
    const Received<TPMT_SIGNATURE> owned_signature(signature);
    check(Esys_FlushContext(esys_, object), "flush");
    if (hierarchy)
        check(Esys_FlushContext(esys_, parent), "flush");
    const Bytes sized = structures::marshal(*creation);
    return {made->publicArea, Bytes(sized.begin() + 2, sized.end()), attestation(*attest, *signature)};
}

structures::Attestation RawTpm::quote(BytesView qualifying_data)
{
    const auto data = structures::to_tpm2b<TPM2B_DATA>(qualifying_data);
    const TPML_PCR_SELECTION pcrs{
        .count = 1, .pcrSelections = {{.hash = TPM2_ALG_SHA256, .sizeofSelect = 3, .pcrSelect = {1, 0, 0, 0}}}};
    TPM2B_ATTEST* attest = nullptr;
    TPMT_SIGNATURE* signature = nullptr;
    check(Esys_Quote(esys_, identity_key_, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &data, &own_scheme, &pcrs,
                     &attest, &signature),
          "quote");
    const Received<TPM2B_ATTEST> owned_attest(attest);
    const Received<TPMT_SIGNATURE> owned_signature(signature);
    return attestation(*attest, *signature);
}

TSS2_RC RawTpm::activate_public_only(const TPMT_PUBLIC& key, const structures::Credential& credential)
{
    const TPM2B_PUBLIC area{.size = 0, .publicArea = key};
    ESYS_TR object = ESYS_TR_NONE;
    check(Esys_LoadExternal(esys_, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, nullptr, &area, ESYS_TR_RH_OWNER, &object),
          "load the public part");
    const ESYS_TR session = policy_session();
    check(Esys_PolicySecret(esys_, ESYS_TR_RH_ENDORSEMENT, session, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                            nullptr, nullptr, nullptr, 0, nullptr, nullptr),
          "satisfy the EK's policy");
    const auto id_object = structures::unmarshal<TPM2B_ID_OBJECT>(credential.id_object).or_throw();
    const auto secret = structures::unmarshal<TPM2B_ENCRYPTED_SECRET>(credential.secret).or_throw();
    TPM2B_DIGEST* opened = nullptr;
    const TSS2_RC rc = Esys_ActivateCredential(esys_, object, persistent(rsa_ek), ESYS_TR_PASSWORD, session,
                                               ESYS_TR_NONE, &id_object, &secret, &opened);
    const Received<TPM2B_DIGEST> owned(opened);
    check(Esys_FlushContext(esys_, object), "flush");
    if (rc != TSS2_RC_SUCCESS)
        check(Esys_FlushContext(esys_, session), "flush");
    return rc;
}

} // namespace imprint::test
