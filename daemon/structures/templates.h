// SPDX-License-Identifier: Apache-2.0
// The templates of Imprint's own objects and of the TCG's endorsement keys.
// They are part of the format: one changed bit would lose every backup. templates.md publishes them with test vectors.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/error.h"

#include <tss2/tss2_tpm2_types.h>

#include <span>
#include <string_view>

namespace imprint::structures {

// Chip storage key: P-256 restricted decryption primary of the endorsement hierarchy, noDA, userWithAuth and
// adminWithPolicy clear, authPolicy = storage_key_policy().
TPMT_PUBLIC storage_key_template();
// Identity key: restricted ECDSA P-256/SHA-256 signing primary of the endorsement hierarchy.
TPMT_PUBLIC identity_key_template();
// Module key: ECDSA P-256 (scheme null in the key, so that TLS chooses; SHA-256 throughout), fixedTPM, fixedParent,
// sensitiveDataOrigin, noDA, userWithAuth clear, authPolicy = policy_epoch(index_name, odd_epoch).
TPMT_PUBLIC module_key_template(BytesView epoch_index_name, std::uint64_t odd_epoch);
// Sealed secret of a backup package, importable: keyed hash, noDA, userWithAuth clear,
// authPolicy = PolicyCommandCode(Unseal); unique is filled in by wrap().
TPMT_PUBLIC sealed_secret_template();
// The epoch counter's public area, attributes exactly as the design fixes them.
TPMS_NV_PUBLIC epoch_index(TPMI_RH_NV_INDEX handle, bool written);

// Whether a public area is exactly the template, its unique field apart, which has to be a point of the curve.
bool is_storage_key(const TPMT_PUBLIC& object);
bool is_identity_key(const TPMT_PUBLIC& object);
bool is_module_key(const TPMT_PUBLIC& object, BytesView epoch_index_name, std::uint64_t odd_epoch);
// Exactly epoch_index(its handle, true), the handle within the owner's NV range.
bool is_epoch_index(const TPMS_NV_PUBLIC& index);

// One of the TCG's EK templates. Imprint's fixed order of preference is L-2, H-2, L-1, H-1, H-3.
struct EkTemplate {
    std::string_view name; // "L-1"
    TPMI_RH_NV_INDEX certificate; // NV index of the EK certificate
    TPMT_PUBLIC area; // with the unique field as the profile says
    bool policy_b; // PolicyB (PolicySecret, then PolicyOR) instead of PolicyA
};
std::span<const EkTemplate> ek_templates();
// The template that a public area was made from (its unique field apart), or nullptr.
const EkTemplate* ek_template_of(const TPMT_PUBLIC& object);

} // namespace imprint::structures
