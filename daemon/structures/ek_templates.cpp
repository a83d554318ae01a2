// SPDX-License-Identifier: Apache-2.0
// TCG EK Credential Profile, the templates of the low range (L-) and of the high range (H-).
#include "daemon/structures/templates.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/policy.h"

#include <array>

namespace imprint::structures {
namespace {

TPMT_PUBLIC endorsement_key(TPMI_ALG_PUBLIC type, TPMI_ALG_HASH alg, bool policy_b)
{
    TPMT_PUBLIC area{};
    area.type = type;
    area.nameAlg = alg;
    area.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
        TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT |
        (policy_b ? TPMA_OBJECT_USERWITHAUTH : 0);
    area.authPolicy = to_tpm2b<TPM2B_DIGEST>(policy_b ? ek_policy_b(alg) : ek_policy_a(alg));
    return area;
}

TPMT_SYM_DEF_OBJECT aes(TPMI_ALG_HASH alg)
{
    TPMT_SYM_DEF_OBJECT symmetric{};
    symmetric.algorithm = TPM2_ALG_AES;
    symmetric.keyBits.aes = alg == TPM2_ALG_SHA256 ? 128 : 256;
    symmetric.mode.aes = TPM2_ALG_CFB;
    return symmetric;
}

// The low range fills `unique` with zeros of full length, the high range leaves it empty.
TPMT_PUBLIC rsa(TPMI_RSA_KEY_BITS bits, TPMI_ALG_HASH alg, bool high)
{
    TPMT_PUBLIC area = endorsement_key(TPM2_ALG_RSA, alg, high);
    area.parameters.rsaDetail.symmetric = aes(alg);
    area.parameters.rsaDetail.scheme.scheme = TPM2_ALG_NULL;
    area.parameters.rsaDetail.keyBits = bits;
    area.unique.rsa.size = high ? 0 : bits / 8;
    return area;
}

TPMT_PUBLIC ecc(TPMI_ECC_CURVE curve, TPMI_ALG_HASH alg, bool high)
{
    TPMT_PUBLIC area = endorsement_key(TPM2_ALG_ECC, alg, high);
    area.parameters.eccDetail.symmetric = aes(alg);
    area.parameters.eccDetail.scheme.scheme = TPM2_ALG_NULL;
    area.parameters.eccDetail.curveID = curve;
    area.parameters.eccDetail.kdf.scheme = TPM2_ALG_NULL;
    area.unique.ecc.x.size = area.unique.ecc.y.size = high ? 0 : 32;
    return area;
}

// ECC first: recreating and activating costs a fraction of RSA's time. Within a kind, the low range first: the high
// range's PolicyB costs one TPM command more. Last what needs SHA-384, since that is what the fewest TPMs have.
std::array<EkTemplate, 6> make_templates()
{
    return {{{"L-2", 0x01C0000A, ecc(TPM2_ECC_NIST_P256, TPM2_ALG_SHA256, false), false},
             {"H-2", 0x01C00014, ecc(TPM2_ECC_NIST_P256, TPM2_ALG_SHA256, true), true},
             {"L-1", 0x01C00002, rsa(2048, TPM2_ALG_SHA256, false), false},
             {"H-1", 0x01C00012, rsa(2048, TPM2_ALG_SHA256, true), true},
             {"H-3", 0x01C00016, ecc(TPM2_ECC_NIST_P384, TPM2_ALG_SHA384, true), true},
             {"H-6", 0x01C0001C, rsa(3072, TPM2_ALG_SHA384, true), true}}};
}

} // namespace

std::span<const EkTemplate> ek_templates()
{
    static const std::array<EkTemplate, 6> templates = make_templates();
    return templates;
}

const EkTemplate* ek_template_of(const TPMT_PUBLIC& object)
{
    const Bytes name = name_of(object);
    const auto same = [&](const EkTemplate& candidate) {
        TPMT_PUBLIC area = candidate.area;
        area.unique = object.unique;
        return area.type == object.type && !name.empty() && name_of(area) == name;
    };
    const auto found = std::ranges::find_if(ek_templates(), same);
    return found == ek_templates().end() ? nullptr : &*found;
}

} // namespace imprint::structures
