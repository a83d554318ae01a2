// SPDX-License-Identifier: Apache-2.0
#include "tests/structures/chip.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/policy.h"
#include "daemon/structures/templates.h"

#include <stdexcept>

namespace imprint::structures {
namespace {

constexpr ESYS_TR none = ESYS_TR_NONE;
const TPM2B_DATA no_data{};
const TPML_PCR_SELECTION no_pcrs{};
const TPM2B_SENSITIVE_CREATE no_sensitive{};
const TPMT_SIG_SCHEME own_scheme{.scheme = TPM2_ALG_NULL, .details = {}};

Attestation attestation(TPM2B_ATTEST* attest, TPMT_SIGNATURE* signature)
{
    const TPM2B_ATTEST body = take(attest);
    return {.attest = {body.attestationData, body.attestationData + body.size}, .signature = marshal(take(signature))};
}

} // namespace

void check(TSS2_RC rc, const char* doing)
{
    if (rc != TSS2_RC_SUCCESS)
        throw std::runtime_error(std::string(doing) + ": " + std::to_string(rc));
}

Chip::Chip(test::SoftwareTpm::Kind kind)
    : tpm_(kind)
    , wire_(tpm_.descriptor())
    , tcti_(wire_.tcti())
{
    check(Esys_Initialize(&esys_, tcti_.get(), nullptr), "Initialize");
}

Object Chip::create_primary(ESYS_TR hierarchy, const TPMT_PUBLIC& area)
{
    const TPM2B_PUBLIC in{.size = 0, .publicArea = area};
    ESYS_TR tr = none;
    check(Esys_CreatePrimary(esys_, hierarchy, ESYS_TR_PASSWORD, none, none, &no_sensitive, &in, &no_data, &no_pcrs,
                             &tr, nullptr, nullptr, nullptr, nullptr),
          "CreatePrimary");
    return read_public(tr);
}

Object Chip::storage_key() { return create_primary(ESYS_TR_RH_ENDORSEMENT, storage_key_template()); }

Object Chip::identity_key() { return create_primary(ESYS_TR_RH_ENDORSEMENT, identity_key_template()); }

Object Chip::read_public(ESYS_TR tr)
{
    TPM2B_PUBLIC* area = nullptr;
    TPM2B_NAME *name = nullptr, *qualified = nullptr;
    check(Esys_ReadPublic(esys_, tr, none, none, none, &area, &name, &qualified), "ReadPublic");
    const TPM2B_NAME own_name = take(name), own_qualified = take(qualified);
    return {.tr = tr,
            .area = take(area).publicArea,
            .name = {own_name.name, own_name.name + own_name.size},
            .qualified_name = {own_qualified.name, own_qualified.name + own_qualified.size}};
}

Object Chip::at(TPM2_HANDLE handle)
{
    ESYS_TR tr = none;
    check(Esys_TR_FromTPMPublic(esys_, handle, none, none, none, &tr), "TR_FromTPMPublic");
    return read_public(tr);
}

void Chip::flush(ESYS_TR tr) { check(Esys_FlushContext(esys_, tr), "FlushContext"); }

ESYS_TR Chip::session(TPM2_SE type, TPMI_ALG_HASH alg)
{
    const TPMT_SYM_DEF symmetric{.algorithm = TPM2_ALG_NULL, .keyBits = {}, .mode = {}};
    ESYS_TR tr = none;
    check(Esys_StartAuthSession(esys_, none, none, none, none, none, nullptr, type, &symmetric, alg, &tr),
          "StartAuthSession");
    check(Esys_TRSess_SetAttributes(esys_, tr, 0, TPMA_SESSION_CONTINUESESSION), "TRSess_SetAttributes");
    return tr;
}

ESYS_TR Chip::storage_session(TPM2_CC command)
{
    const ESYS_TR tr = session(TPM2_SE_POLICY);
    check(Esys_PolicyCommandCode(esys_, tr, none, none, none, command), "PolicyCommandCode");
    policy_or(tr, storage_key_policy_branches());
    return tr;
}

Bytes Chip::trial(const std::function<void(ESYS_TR)>& policy, TPMI_ALG_HASH alg)
{
    const ESYS_TR tr = session(TPM2_SE_TRIAL, alg);
    policy(tr);
    TPM2B_DIGEST* out = nullptr;
    check(Esys_PolicyGetDigest(esys_, tr, none, none, none, &out), "PolicyGetDigest");
    flush(tr);
    const TPM2B_DIGEST own = take(out);
    return {own.buffer, own.buffer + own.size};
}

void Chip::policy_or(ESYS_TR session, std::span<const Bytes> branches)
{
    TPML_DIGEST list{};
    for (const Bytes& branch : branches)
        list.digests[list.count++] = to_tpm2b<TPM2B_DIGEST>(branch);
    check(Esys_PolicyOR(esys_, session, none, none, none, &list), "PolicyOR");
}

std::uint64_t Chip::define_epoch()
{
    const TPM2B_AUTH no_auth{};
    const TPM2B_NV_PUBLIC area{.size = 0, .nvPublic = epoch_index(epoch_handle, false)};
    ESYS_TR tr = none;
    check(Esys_NV_DefineSpace(esys_, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, none, none, &no_auth, &area, &tr),
          "NV_DefineSpace");
    for (;;) {
        check(Esys_NV_Increment(esys_, ESYS_TR_RH_OWNER, tr, ESYS_TR_PASSWORD, none, none), "NV_Increment");
        TPM2B_MAX_NV_BUFFER* content = nullptr;
        check(Esys_NV_Read(esys_, ESYS_TR_RH_OWNER, tr, ESYS_TR_PASSWORD, none, none, 8, 0, &content), "NV_Read");
        std::uint64_t value = 0;
        const TPM2B_MAX_NV_BUFFER counter = take(content);
        for (const std::uint8_t byte : view(counter))
            value = value << 8 | byte;
        if (value % 2 == 0)
            return value;
    }
}

ESYS_TR Chip::epoch()
{
    ESYS_TR tr = none;
    check(Esys_TR_FromTPMPublic(esys_, epoch_handle, none, none, none, &tr), "TR_FromTPMPublic");
    return tr;
}

TPMS_NV_PUBLIC Chip::epoch_area()
{
    TPM2B_NV_PUBLIC* area = nullptr;
    check(Esys_NV_ReadPublic(esys_, epoch(), none, none, none, &area, nullptr), "NV_ReadPublic");
    return take(area).nvPublic;
}

Bytes Chip::read_nv(TPM2_HANDLE handle)
{
    ESYS_TR index = none;
    check(Esys_TR_FromTPMPublic(esys_, handle, none, none, none, &index), "TR_FromTPMPublic");
    TPM2B_NV_PUBLIC* area = nullptr;
    check(Esys_NV_ReadPublic(esys_, index, none, none, none, &area, nullptr), "NV_ReadPublic");
    const UINT16 size = take(area).nvPublic.dataSize;
    Bytes out;
    while (out.size() < size) {
        const auto at = static_cast<UINT16>(out.size());
        const auto piece = static_cast<UINT16>(std::min(size - at, 1024));
        TPM2B_MAX_NV_BUFFER* content = nullptr;
        check(Esys_NV_Read(esys_, ESYS_TR_RH_OWNER, index, ESYS_TR_PASSWORD, none, none, piece, at, &content),
              "NV_Read");
        std::ranges::copy(view(take(content)), std::back_inserter(out));
    }
    return out;
}

ModuleKey Chip::create_module_key(ESYS_TR storage_key, const TPMT_PUBLIC& area)
{
    const TPM2B_PUBLIC in{.size = 0, .publicArea = area};
    TPM2B_PRIVATE* sensitive = nullptr;
    TPM2B_PUBLIC* object = nullptr;
    TPM2B_CREATION_DATA* data = nullptr;
    TPM2B_DIGEST* hash = nullptr;
    TPMT_TK_CREATION* ticket = nullptr;
    check(Esys_Create(esys_, storage_key, storage_session(TPM2_CC_Create), none, none, &no_sensitive, &in, &no_data,
                      &no_pcrs, &sensitive, &object, &data, &hash, &ticket),
          "Create");
    const TPM2B_PRIVATE own_sensitive = take(sensitive);
    const TPM2B_PUBLIC own_object = take(object);
    ESYS_TR tr = none;
    check(Esys_Load(esys_, storage_key, storage_session(TPM2_CC_Load), none, none, &own_sensitive, &own_object, &tr),
          "Load");
    return {
        .object = read_public(tr), .creation_data = take(data), .creation_hash = take(hash), .ticket = take(ticket)};
}

Object Chip::import(ESYS_TR storage_key, const Importable& importable)
{
    const TPM2B_PUBLIC object = unmarshal<TPM2B_PUBLIC>(importable.object).or_throw();
    const TPM2B_PRIVATE duplicate = unmarshal<TPM2B_PRIVATE>(importable.duplicate).or_throw();
    const TPM2B_ENCRYPTED_SECRET seed = unmarshal<TPM2B_ENCRYPTED_SECRET>(importable.seed).or_throw();
    const TPMT_SYM_DEF_OBJECT no_inner{.algorithm = TPM2_ALG_NULL, .keyBits = {}, .mode = {}};
    TPM2B_PRIVATE* sensitive = nullptr;
    check(Esys_Import(esys_, storage_key, storage_session(TPM2_CC_Import), none, none, nullptr, &object, &duplicate,
                      &seed, &no_inner, &sensitive),
          "Import");
    const TPM2B_PRIVATE own_sensitive = take(sensitive);
    ESYS_TR tr = none;
    check(Esys_Load(esys_, storage_key, storage_session(TPM2_CC_Load), none, none, &own_sensitive, &object, &tr),
          "Load");
    return read_public(tr);
}

Secret Chip::activate(const Object& ek, bool policy_b, const Object& object, const Credential& credential)
{
    const ESYS_TR policy = session(TPM2_SE_POLICY, ek.area.nameAlg);
    check(Esys_PolicySecret(esys_, ESYS_TR_RH_ENDORSEMENT, policy, ESYS_TR_PASSWORD, none, none, nullptr, nullptr,
                            nullptr, 0, nullptr, nullptr),
          "PolicySecret");
    if (policy_b)
        policy_or(policy, ek_policy_b_branches(ek.area.nameAlg));
    const TPM2B_ID_OBJECT blob = unmarshal<TPM2B_ID_OBJECT>(credential.id_object).or_throw();
    const TPM2B_ENCRYPTED_SECRET seed = unmarshal<TPM2B_ENCRYPTED_SECRET>(credential.secret).or_throw();
    TPM2B_DIGEST* out = nullptr;
    const TSS2_RC rc =
        Esys_ActivateCredential(esys_, object.tr, ek.tr, ESYS_TR_PASSWORD, policy, none, &blob, &seed, &out);
    if (rc != TSS2_RC_SUCCESS)
        flush(policy);
    check(rc, "ActivateCredential");
    return Secret(view(take(out)));
}

Attestation Chip::certify(ESYS_TR signer, ESYS_TR object, BytesView qualifying_data)
{
    const auto data = to_tpm2b<TPM2B_DATA>(qualifying_data);
    TPM2B_ATTEST* attest = nullptr;
    TPMT_SIGNATURE* signature = nullptr;
    check(Esys_Certify(esys_, object, signer, ESYS_TR_PASSWORD, ESYS_TR_PASSWORD, none, &data, &own_scheme, &attest,
                       &signature),
          "Certify");
    return attestation(attest, signature);
}

Attestation Chip::certify_creation(ESYS_TR signer, const ModuleKey& key, BytesView qualifying_data)
{
    const auto data = to_tpm2b<TPM2B_DATA>(qualifying_data);
    TPM2B_ATTEST* attest = nullptr;
    TPMT_SIGNATURE* signature = nullptr;
    check(Esys_CertifyCreation(esys_, signer, key.object.tr, ESYS_TR_PASSWORD, none, none, &data, &key.creation_hash,
                               &own_scheme, &key.ticket, &attest, &signature),
          "CertifyCreation");
    return attestation(attest, signature);
}

Attestation Chip::certify_epoch(ESYS_TR signer, BytesView qualifying_data)
{
    const auto data = to_tpm2b<TPM2B_DATA>(qualifying_data);
    const ESYS_TR index = epoch();
    TPM2B_ATTEST* attest = nullptr;
    TPMT_SIGNATURE* signature = nullptr;
    check(Esys_NV_Certify(esys_, signer, index, index, ESYS_TR_PASSWORD, ESYS_TR_PASSWORD, none, &data, &own_scheme, 8,
                          0, &attest, &signature),
          "NV_Certify");
    return attestation(attest, signature);
}

Attestation Chip::quote(ESYS_TR signer, BytesView qualifying_data)
{
    const auto data = to_tpm2b<TPM2B_DATA>(qualifying_data);
    TPM2B_ATTEST* attest = nullptr;
    TPMT_SIGNATURE* signature = nullptr;
    check(Esys_Quote(esys_, signer, ESYS_TR_PASSWORD, none, none, &data, &own_scheme, &no_pcrs, &attest, &signature),
          "Quote");
    return attestation(attest, signature);
}

} // namespace imprint::structures
