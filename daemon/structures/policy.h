// SPDX-License-Identifier: Apache-2.0
// Policy digests (Part 1, clause 19.7; Part 3, clause 23), computed without a TPM. All SHA-256.
#pragma once

#include "daemon/base/bytes.h"

#include <tss2/tss2_tpm2_types.h>

#include <array>
#include <span>

namespace imprint::structures {

Bytes policy_command_code(TPM2_CC command);
Bytes policy_or(std::span<const Bytes> branches);
// PolicyNV(index == value) for an 8-byte counter; `index_name` is the Name of the NV index.
Bytes policy_epoch(BytesView index_name, std::uint64_t value);

// The branches of the chip storage key's policy, in their fixed order: Import, Load, Create.
std::array<Bytes, 3> storage_key_policy_branches();
Bytes storage_key_policy();

// The policies of endorsement keys (TCG EK Credential Profile): PolicyA, PolicyB and PolicyB's two branches.
// `alg` is TPM2_ALG_SHA256 or TPM2_ALG_SHA384.
Bytes ek_policy_a(TPMI_ALG_HASH alg);
std::array<Bytes, 2> ek_policy_b_branches(TPMI_ALG_HASH alg);
Bytes ek_policy_b(TPMI_ALG_HASH alg);

} // namespace imprint::structures
