// SPDX-License-Identifier: Apache-2.0
// A storage parent that is made without a TPM, and objects under it as TPM2_Load takes them (protected storage, Part 1,
// clause 22): who knows the parent's seed builds them, and the TPM has only the parent to import.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/secret.h"
#include "daemon/structures/wrap.h"

#include <tss2/tss2_tpm2_types.h>

namespace imprint::structures {

// The public area of such a parent: P-256 restricted decryption key, noDA, userWithAuth, empty policy (so that there is
// no TPM2_Duplicate of it), neither fixedTPM nor fixedParent, AES-128-CFB for what is under it.
TPMT_PUBLIC importable_parent(BytesView x, BytesView y);
// Exactly this template, with a point of the curve.
bool is_importable_parent(const TPMT_PUBLIC& object);

// Whether an object, once loaded, is under such a parent: nothing else has fixedParent without fixedTPM, since the one
// follows from the other below a parent of the TPM's own.
bool is_child(const TPMT_PUBLIC& object);

// As long as the digest of the parent's nameAlg. It opens every object under the parent: as secret as all of them.
Secret make_parent_seed();

// The parent for TPM2_Import under the chip storage key. Throws what wrap() throws, Error(invalid_argument) also for
// a parent that is not of the template or a seed of another length.
Importable wrap_parent(const TPMT_PUBLIC& storage_key, const TPMT_PUBLIC& parent, const Secret& scalar,
                       const Secret& seed);

// An object that TPM2_Load takes under its parent; every field in marshalled form.
struct Loadable {
    Bytes object; // TPM2B_PUBLIC
    Bytes sensitive; // TPM2B_PRIVATE
};
// `object` and `value` as for wrap(). fixedParent is set here: there is no TPM2_Duplicate of it whatever its policy is.
// Nothing is ever wrapped *for* such a parent: whoever holds its (empty) authorization value could TPM2_Rewrap it.
// Throws Error(invalid_argument) if anything does not fit.
Loadable make_child(const TPMT_PUBLIC& parent, const Secret& seed, TPMT_PUBLIC object, const Secret& value);

} // namespace imprint::structures
