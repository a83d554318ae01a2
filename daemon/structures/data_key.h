// SPDX-License-Identifier: Apache-2.0
// What a key of a data package can do: it follows from its public area.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/error.h"

#include <tss2/tss2_tpm2_types.h>

#include <optional>
#include <string_view>

namespace imprint::structures {

enum class DataKeyKind {
    hmac, // HMAC-SHA256, and what is derived with it
    signing, // ECDSA or RSA
    agreement, // ECDH
    decryption, // RSA-OAEP
    opaque, // no key: the secret that opens what is enveloped beside it
};
std::string_view name(DataKeyKind kind); // "hmac", "signing", "agreement", "decryption", "opaque"
// Nothing for an object that is none of these.
std::optional<DataKeyKind> data_key_kind(const TPMT_PUBLIC& area);

// How a digest is signed, by the name that programs know it by.
struct SignatureAlgorithm {
    std::string_view name; // "ecdsa-sha256"
    TPMI_ALG_PUBLIC key; // TPM2_ALG_ECC or TPM2_ALG_RSA
    TPMT_SIG_SCHEME scheme;
    std::size_t digest_size; // bytes
};
const SignatureAlgorithm* signature_algorithm(std::string_view name); // nullptr: there is none
// The first is what a caller without a wish gets. Empty for keys that do not sign.
std::vector<std::string_view> signature_algorithms(const TPMT_PUBLIC& area);

// The point of a SubjectPublicKeyInfo on the curve of `own`. Refusal(invalid_argument) for anything else.
Result<TPMS_ECC_POINT> peer_point(BytesView spki, const TPMT_PUBLIC& own);

} // namespace imprint::structures
