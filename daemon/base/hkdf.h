// SPDX-License-Identifier: Apache-2.0
// Keys and proofs from keys.
#pragma once

#include "daemon/base/secret.h"

namespace imprint {

// HKDF-SHA-256 (RFC 5869) with an empty salt. Throws Error(internal).
Secret hkdf_sha256(const Secret& key, BytesView info, std::size_t size);

// HMAC-SHA256 (RFC 2104), 32 bytes. Throws Error(internal).
Secret hmac_sha256(const Secret& key, BytesView input);

} // namespace imprint
