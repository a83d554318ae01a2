// SPDX-License-Identifier: Apache-2.0
// Names (Part 1, clause 16) and the chip identifier.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/error.h"

#include <tss2/tss2_tpm2_types.h>

#include <string>

namespace imprint::structures {

// H(alg, data); alg is TPM2_ALG_SHA256 or TPM2_ALG_SHA384. Throws Error(capability_missing) for another one.
Bytes digest(TPMI_ALG_HASH alg, BytesView data);
std::size_t digest_size(TPMI_ALG_HASH alg);

// Name = nameAlg ‖ H(public area). Empty for a structure that cannot be marshalled or has an unknown nameAlg.
Bytes name_of(const TPMT_PUBLIC& object);
Bytes name_of(const TPMS_NV_PUBLIC& index);

// The Qualified Name of a primary: nameAlg ‖ H(handle of the hierarchy ‖ Name).
Bytes qualified_name_of_primary(TPMI_RH_HIERARCHY hierarchy, const TPMT_PUBLIC& object);
// The same from the Name alone; empty where it has an unknown nameAlg.
Bytes qualified_name_of_primary(TPMI_RH_HIERARCHY hierarchy, BytesView name);
// The Qualified Name of a child: nameAlg ‖ H(parent's Qualified Name ‖ Name).
Bytes qualified_name_of_child(BytesView parent_qualified_name, const TPMT_PUBLIC& object);

// SubjectPublicKeyInfo (DER) of an RSA, P-256 or P-384 public area. Refusal(capability_missing) for another key,
// Refusal(malformed_message) for a point that is not on its curve or a modulus that is not as long as it says.
Result<Bytes> to_spki(const TPMT_PUBLIC& object);
// Whether the public key of the area is the one in the SubjectPublicKeyInfo.
bool same_key(const TPMT_PUBLIC& object, BytesView spki);

// Lower-case hex of SHA-256 over the EK's SubjectPublicKeyInfo (DER): 64 characters.
std::string chip_identifier(BytesView ek_spki);
bool is_chip_identifier(std::string_view text);

} // namespace imprint::structures
