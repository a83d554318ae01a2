// SPDX-License-Identifier: Apache-2.0
// Public areas as OpenSSL keys, and the elliptic curve arithmetic that wraps need.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/error.h"
#include "daemon/base/owned.h"
#include "daemon/base/secret.h"

#include <openssl/evp.h>
#include <tss2/tss2_tpm2_types.h>

namespace imprint::structures {

using Pkey = Owned<EVP_PKEY, EVP_PKEY_free>;

// The OpenSSL name of the curve and the bytes of one coordinate; name is nullptr for a curve that is not supported.
struct Curve {
    const char* name = nullptr;
    std::size_t size = 0;
};
Curve curve_of(TPMI_ECC_CURVE curve);

// A big-endian number filled up with leading zeros; `number` is at most `size` long.
Bytes padded(BytesView number, std::size_t size);

// RSA, P-256 or P-384. Refusal(capability_missing) for other keys, Refusal(malformed_message) for a point that is not
// on its curve or a modulus that is not as long as it says.
Result<Pkey> to_pkey(const TPMT_PUBLIC& object);

} // namespace imprint::structures
