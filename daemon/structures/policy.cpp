// SPDX-License-Identifier: Apache-2.0
#include "daemon/structures/policy.h"

#include "daemon/structures/encode.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"

namespace imprint::structures {
namespace {

// The start of every policy session.
Bytes zeros(TPMI_ALG_HASH alg) { return Bytes(digest_size(alg)); }

// policyDigest' = H(policyDigest ‖ command ‖ data) from the empty policy.
Bytes first_step(TPMI_ALG_HASH alg, TPM2_CC command, BytesView data)
{
    return digest(alg, concat(zeros(alg), big_endian(command), data));
}

Bytes policy_or(TPMI_ALG_HASH alg, std::span<const Bytes> branches)
{
    Bytes all;
    for (const Bytes& branch : branches)
        all.insert(all.end(), branch.begin(), branch.end());
    return first_step(alg, TPM2_CC_PolicyOR, all);
}

// The NV index in which a platform may keep another policy for the EK: "Policy Index I-1" (SHA-256), "I-2" (SHA-384).
TPMS_NV_PUBLIC ek_policy_index(TPMI_ALG_HASH alg)
{
    TPMS_NV_PUBLIC index{};
    index.nvIndex = alg == TPM2_ALG_SHA256 ? 0x01C07F01 : 0x01C07F02;
    index.nameAlg = alg;
    index.attributes = TPMA_NV_POLICYWRITE | TPMA_NV_WRITEALL | TPMA_NV_PPREAD | TPMA_NV_OWNERREAD | TPMA_NV_AUTHREAD |
        TPMA_NV_POLICYREAD | TPMA_NV_NO_DA | TPMA_NV_WRITTEN;
    index.authPolicy = to_tpm2b<TPM2B_DIGEST>(ek_policy_a(alg));
    index.dataSize = static_cast<UINT16>(sizeof(TPMI_ALG_HASH) + digest_size(alg));
    return index;
}

} // namespace

Bytes policy_command_code(TPM2_CC command)
{
    return first_step(TPM2_ALG_SHA256, TPM2_CC_PolicyCommandCode, big_endian(command));
}

Bytes policy_or(std::span<const Bytes> branches) { return policy_or(TPM2_ALG_SHA256, branches); }

Bytes policy_epoch(BytesView index_name, std::uint64_t value)
{
    const Bytes offset = big_endian(UINT16{0});
    const Bytes operation = big_endian(TPM2_EO{TPM2_EO_EQ});
    const Bytes args = digest(TPM2_ALG_SHA256, concat(big_endian(value), offset, operation));
    return first_step(TPM2_ALG_SHA256, TPM2_CC_PolicyNV, concat(args, index_name));
}

std::array<Bytes, 3> storage_key_policy_branches()
{
    return {policy_command_code(TPM2_CC_Import), policy_command_code(TPM2_CC_Load),
            policy_command_code(TPM2_CC_Create)};
}

Bytes storage_key_policy() { return policy_or(storage_key_policy_branches()); }

Bytes ek_policy_a(TPMI_ALG_HASH alg)
{
    const TPM2_HANDLE endorsement = TPM2_RH_ENDORSEMENT;
    // PolicySecret extends a second time with the policyRef, which is empty here (Part 3, clause 23.2.3).
    return digest(alg, first_step(alg, TPM2_CC_PolicySecret, big_endian(endorsement)));
}

std::array<Bytes, 2> ek_policy_b_branches(TPMI_ALG_HASH alg)
{
    return {ek_policy_a(alg), first_step(alg, TPM2_CC_PolicyAuthorizeNV, name_of(ek_policy_index(alg)))};
}

Bytes ek_policy_b(TPMI_ALG_HASH alg) { return policy_or(alg, ek_policy_b_branches(alg)); }

} // namespace imprint::structures
