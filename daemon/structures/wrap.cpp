// SPDX-License-Identifier: Apache-2.0
#include "daemon/structures/wrap.h"

#include "daemon/structures/encode.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/outer_wrap.h"
#include "daemon/structures/public_key.h"
#include "daemon/structures/sensitive.h"
#include "daemon/structures/templates.h"

namespace imprint::structures {
namespace {

void require(bool fits, const char* what)
{
    if (!fits)
        throw Error(Reason::invalid_argument, what);
}

void require_storage_key(const TPMT_PUBLIC& parent)
{
    if (!is_storage_key(parent))
        throw Error(Reason::storage_key_invalid, "the parent is not a chip storage key by its template");
}

TPMT_PUBLIC importable_object(TPMI_ALG_PUBLIC type, BytesView policy, TPMA_OBJECT use)
{
    TPMT_PUBLIC area{};
    area.type = type;
    area.nameAlg = TPM2_ALG_SHA256;
    // Without a policy only the (empty) authorization value lets the object be used.
    area.objectAttributes = TPMA_OBJECT_NODA | use | (policy.empty() ? TPMA_OBJECT_USERWITHAUTH : 0);
    area.authPolicy = to_tpm2b<TPM2B_DIGEST>(policy);
    return area;
}

TPMA_OBJECT attribute(KeyUse use) { return use == KeyUse::sign ? TPMA_OBJECT_SIGN_ENCRYPT : TPMA_OBJECT_DECRYPT; }

} // namespace

Importable wrap(const TPMT_PUBLIC& parent, TPMT_PUBLIC object, const Secret& value)
{
    require_storage_key(parent);
    Cleansed<TPMT_SENSITIVE> sensitive;
    fill_sensitive(object, sensitive.value, value);
    return wrap(parent, object, sensitive.value);
}

Importable wrap(const TPMT_PUBLIC& parent, const TPMT_PUBLIC& object, const TPMT_SENSITIVE& sensitive)
{
    require_storage_key(parent);
    constexpr TPMA_OBJECT not_importable =
        TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_ENCRYPTEDDUPLICATION;
    require((object.objectAttributes & not_importable) == 0, "the attributes of an object forbid its import");
    const Seed seed = make_seed(parent, "DUPLICATE").or_throw();
    const Bytes wrapped = outer_wrap(parent, seed.value, name_of(object), marshal_sensitive(sensitive));
    return {marshal(TPM2B_PUBLIC{.size = 0, .publicArea = object}), marshal(to_tpm2b<TPM2B_PRIVATE>(wrapped)),
            seed.encrypted};
}

Result<Credential> make_credential(const TPMT_PUBLIC& ek, BytesView object_name, const Secret& secret)
{
    if (ek_template_of(ek) == nullptr)
        return Refusal{Reason::capability_missing, "the endorsement key follows none of the known templates"};
    require(!object_name.empty() && object_name.size() <= sizeof(TPMU_NAME), "not a Name");
    require(!secret.empty() && secret.size() <= digest_size(ek.nameAlg),
            "a secret has a wrong length for a credential");
    const Result<Seed> seed = make_seed(ek, "IDENTITY");
    if (!seed)
        return seed.refusal();
    Secret sized(big_endian(static_cast<UINT16>(secret.size())));
    sized.resize(sizeof(UINT16) + secret.size());
    std::ranges::copy(secret, sized.data() + sizeof(UINT16));
    const Bytes wrapped = outer_wrap(ek, seed->value, object_name, sized);
    return Credential{marshal(to_tpm2b<TPM2B_ID_OBJECT>(wrapped)), seed->encrypted};
}

TPMT_PUBLIC importable_ecc_key(BytesView x, BytesView y, BytesView policy, KeyUse use)
{
    TPMT_PUBLIC area = importable_object(TPM2_ALG_ECC, policy, attribute(use));
    area.parameters.eccDetail.symmetric.algorithm = TPM2_ALG_NULL;
    area.parameters.eccDetail.scheme.scheme = TPM2_ALG_NULL;
    area.parameters.eccDetail.curveID =
        x.size() == curve_of(TPM2_ECC_NIST_P384).size ? TPM2_ECC_NIST_P384 : TPM2_ECC_NIST_P256;
    area.parameters.eccDetail.kdf.scheme = TPM2_ALG_NULL;
    area.unique.ecc = {.x = to_tpm2b<TPM2B_ECC_PARAMETER>(x), .y = to_tpm2b<TPM2B_ECC_PARAMETER>(y)};
    return area;
}

TPMT_PUBLIC importable_rsa_key(BytesView modulus, BytesView policy, KeyUse use)
{
    TPMT_PUBLIC area = importable_object(TPM2_ALG_RSA, policy, attribute(use));
    area.parameters.rsaDetail.symmetric.algorithm = TPM2_ALG_NULL;
    area.parameters.rsaDetail.scheme.scheme = TPM2_ALG_NULL;
    area.parameters.rsaDetail.keyBits = static_cast<TPMI_RSA_KEY_BITS>(modulus.size() * 8);
    area.unique.rsa = to_tpm2b<TPM2B_PUBLIC_KEY_RSA>(modulus);
    return area;
}

TPMT_PUBLIC importable_hmac_key(BytesView policy)
{
    TPMT_PUBLIC area = importable_object(TPM2_ALG_KEYEDHASH, policy, TPMA_OBJECT_SIGN_ENCRYPT);
    area.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_HMAC;
    area.parameters.keyedHashDetail.scheme.details.hmac.hashAlg = TPM2_ALG_SHA256;
    return area;
}

TPMT_PUBLIC importable_sealed_data(BytesView policy)
{
    TPMT_PUBLIC area = importable_object(TPM2_ALG_KEYEDHASH, policy, 0);
    area.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL;
    return area;
}

} // namespace imprint::structures
