// SPDX-License-Identifier: Apache-2.0
// Protected storage's outer wrap (Part 1, clauses 23.3 and 24.4) and the key derivations it stands on (clause 11.4.10).
// Throws Error(internal) where OpenSSL fails.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/error.h"
#include "daemon/base/secret.h"

#include <tss2/tss2_tpm2_types.h>

#include <string_view>

namespace imprint::structures {

// The label without its final NUL; sizes in bytes.
Secret kdfa(TPMI_ALG_HASH alg, BytesView key, std::string_view label, BytesView context, std::size_t size);
Secret kdfe(TPMI_ALG_HASH alg, BytesView z, std::string_view label, BytesView party_u, BytesView party_v,
            std::size_t size);

// A fresh seed, and the form in which only the holder of `key` can read it (TPM2B_ENCRYPTED_SECRET, marshalled).
struct Seed {
    Secret value;
    Bytes encrypted;
};
// `key` is RSA (OAEP), P-256 or P-384 (ECDH); otherwise the refusal of to_pkey().
Result<Seed> make_seed(const TPMT_PUBLIC& key, std::string_view label);

// TPM2B_DIGEST(HMAC over ciphertext and name) ‖ ciphertext, by the algorithms of the storage key `key`.
Bytes outer_wrap(const TPMT_PUBLIC& key, const Secret& seed, BytesView name, const Secret& plaintext);
// The same as the TPM keeps objects under `key`, whose own seed value is `seed`: that serves many of them, so each has
// a random IV, which stands as TPM2B_IV before the ciphertext and under the HMAC.
Bytes storage_wrap(const TPMT_PUBLIC& key, const Secret& seed, BytesView name, const Secret& plaintext);

} // namespace imprint::structures
