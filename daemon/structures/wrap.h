// SPDX-License-Identifier: Apache-2.0
// Outer wraps made without a TPM: for TPM2_Import (Part 1, clause 23.3) and TPM2_ActivateCredential (clause 24).
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/error.h"
#include "daemon/base/secret.h"

#include <tss2/tss2_tpm2_types.h>

namespace imprint::structures {

// An object that TPM2_Import takes under the parent it was wrapped for; every field in marshalled form.
struct Importable {
    Bytes object; // TPM2B_PUBLIC
    Bytes duplicate; // TPM2B_PRIVATE
    Bytes seed; // TPM2B_ENCRYPTED_SECRET
};

// The sensitive area of an object to wrap: `value` is the private scalar (ECC, as long as its curve), one prime (RSA),
// the key (HMAC) or the data (sealed, at most 128 bytes); for keyed hash objects the seed value is made inside.
// `object` is the public area; for keyed hash objects its unique field is filled in here.
// fixedTPM, fixedParent and encryptedDuplication have to be clear. Each call uses a fresh seed.
// Throws Error(invalid_argument) if object and value do not fit, Error(storage_key_invalid) if `parent` is not the
// chip storage key's template (otherwise TPM2_Rewrap would give the object away).
Importable wrap(const TPMT_PUBLIC& parent, TPMT_PUBLIC object, const Secret& value);
// The same with a sensitive area that is complete and belongs to `object`.
Importable wrap(const TPMT_PUBLIC& parent, const TPMT_PUBLIC& object, const TPMT_SENSITIVE& sensitive);

// A credential that only the TPM with this EK, and only together with the object of this Name, can open.
struct Credential {
    Bytes id_object; // TPM2B_ID_OBJECT
    Bytes secret; // TPM2B_ENCRYPTED_SECRET
};
// For an EK that follows one of ek_templates(); otherwise Refusal(capability_missing), or Refusal(malformed_message) if
// it is no valid key. `secret` is at most as long as the digest of the EK's nameAlg (Error(invalid_argument)).
Result<Credential> make_credential(const TPMT_PUBLIC& ek, BytesView object_name, const Secret& secret);

// What the holder of an importable pair may do with it: sign, or decrypt, which with an elliptic curve is to agree on a
// secret (ECDH). Never both.
enum class KeyUse { sign, decrypt };

// For keys of data packages: the public area of an importable key, unrestricted, scheme null (HMAC-SHA256 apart), noDA,
// usable under `policy`, or with the empty authorization value where that is empty. No policy may lead to Duplicate.
// The curve (P-256, P-384) and the size of an RSA key (exponent 65537) follow from the lengths.
TPMT_PUBLIC importable_ecc_key(BytesView x, BytesView y, BytesView policy, KeyUse use = KeyUse::sign);
TPMT_PUBLIC importable_rsa_key(BytesView modulus, BytesView policy, KeyUse use = KeyUse::sign);
TPMT_PUBLIC importable_hmac_key(BytesView policy);
// A secret that TPM2_Unseal gives out: a keyed hash without sign and decrypt.
TPMT_PUBLIC importable_sealed_data(BytesView policy);

} // namespace imprint::structures
