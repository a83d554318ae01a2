// SPDX-License-Identifier: Apache-2.0
#include "daemon/structures/templates.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/policy.h"
#include "daemon/structures/public_key.h"

namespace imprint::structures {
namespace {

constexpr TPMI_RH_NV_INDEX first_owner_index = 0x01800000;
constexpr TPMI_RH_NV_INDEX last_owner_index = 0x01BFFFFF;
constexpr UINT16 counter_size = 8;

// They keep our primaries apart from those that other software derives from the same seed.
constexpr std::string_view storage_key_label = "Imprint chip storage key 1";
constexpr std::string_view identity_key_label = "Imprint identity key 1";

TPMT_PUBLIC p256_key(TPMA_OBJECT attributes)
{
    TPMT_PUBLIC area{};
    area.type = TPM2_ALG_ECC;
    area.nameAlg = TPM2_ALG_SHA256;
    area.objectAttributes = attributes;
    area.parameters.eccDetail.symmetric.algorithm = TPM2_ALG_NULL;
    area.parameters.eccDetail.scheme.scheme = TPM2_ALG_NULL;
    area.parameters.eccDetail.curveID = TPM2_ECC_NIST_P256;
    area.parameters.eccDetail.kdf.scheme = TPM2_ALG_NULL;
    return area;
}

TPMS_ECC_POINT labelled(std::string_view label)
{
    return {.x = to_tpm2b<TPM2B_ECC_PARAMETER>(digest(TPM2_ALG_SHA256, as_bytes(label))),
            .y = to_tpm2b<TPM2B_ECC_PARAMETER>(Bytes(32))};
}

// The same area but for `unique`, which holds a point of the curve.
bool matches(const TPMT_PUBLIC& object, TPMT_PUBLIC expected)
{
    if (object.type != TPM2_ALG_ECC)
        return false;
    expected.unique.ecc = object.unique.ecc;
    const Bytes name = name_of(object);
    return !name.empty() && name == name_of(expected) && to_pkey(object);
}

} // namespace

TPMT_PUBLIC storage_key_template()
{
    TPMT_PUBLIC area = p256_key(TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                                TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT);
    area.authPolicy = to_tpm2b<TPM2B_DIGEST>(storage_key_policy());
    area.parameters.eccDetail.symmetric.algorithm = TPM2_ALG_AES;
    area.parameters.eccDetail.symmetric.keyBits.aes = 128;
    area.parameters.eccDetail.symmetric.mode.aes = TPM2_ALG_CFB;
    area.unique.ecc = labelled(storage_key_label);
    return area;
}

TPMT_PUBLIC identity_key_template()
{
    TPMT_PUBLIC area =
        p256_key(TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                 TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT);
    area.parameters.eccDetail.scheme.scheme = TPM2_ALG_ECDSA;
    area.parameters.eccDetail.scheme.details.ecdsa.hashAlg = TPM2_ALG_SHA256;
    area.unique.ecc = labelled(identity_key_label);
    return area;
}

TPMT_PUBLIC module_key_template(BytesView epoch_index_name, std::uint64_t odd_epoch)
{
    TPMT_PUBLIC area = p256_key(TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                                TPMA_OBJECT_NODA | TPMA_OBJECT_SIGN_ENCRYPT);
    area.authPolicy = to_tpm2b<TPM2B_DIGEST>(policy_epoch(epoch_index_name, odd_epoch));
    return area;
}

TPMT_PUBLIC sealed_secret_template()
{
    TPMT_PUBLIC area{};
    area.type = TPM2_ALG_KEYEDHASH;
    area.nameAlg = TPM2_ALG_SHA256;
    area.objectAttributes = TPMA_OBJECT_NODA;
    area.authPolicy = to_tpm2b<TPM2B_DIGEST>(policy_command_code(TPM2_CC_Unseal));
    area.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL;
    return area;
}

TPMS_NV_PUBLIC epoch_index(TPMI_RH_NV_INDEX handle, bool written)
{
    TPMS_NV_PUBLIC index{};
    index.nvIndex = handle;
    index.nameAlg = TPM2_ALG_SHA256;
    index.attributes = (TPMA_NV{TPM2_NT_COUNTER} << TPMA_NV_TPM2_NT_SHIFT) | TPMA_NV_OWNERWRITE | TPMA_NV_AUTHREAD |
        TPMA_NV_OWNERREAD | TPMA_NV_NO_DA | (written ? TPMA_NV_WRITTEN : 0);
    index.dataSize = counter_size;
    return index;
}

bool is_storage_key(const TPMT_PUBLIC& object) { return matches(object, storage_key_template()); }

bool is_identity_key(const TPMT_PUBLIC& object) { return matches(object, identity_key_template()); }

bool is_module_key(const TPMT_PUBLIC& object, BytesView epoch_index_name, std::uint64_t odd_epoch)
{
    return matches(object, module_key_template(epoch_index_name, odd_epoch));
}

bool is_epoch_index(const TPMS_NV_PUBLIC& index)
{
    const bool ours = index.nvIndex >= first_owner_index && index.nvIndex <= last_owner_index;
    return ours && name_of(index) == name_of(epoch_index(index.nvIndex, true));
}

} // namespace imprint::structures
