// SPDX-License-Identifier: Apache-2.0
// TSS2 key files: a TPM object that programs load under a persistent parent, as tpm2-openssl and tpm2-tools read it.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/error.h"

#include <cstdint>

namespace imprint::pki {

inline constexpr std::size_t max_tss2_key = 8192; // bytes of PEM

struct Tss2Key {
    std::uint32_t parent = 0; // persistent handle; its authorization value is empty, as the key's is
    Bytes object; // TPM2B_PUBLIC
    Bytes sensitive; // TPM2B_PRIVATE
};

// "-----BEGIN TSS2 PRIVATE KEY-----", a loadable key with emptyAuth.
Bytes to_pem(const Tss2Key& key);
// Exactly what to_pem() makes; otherwise Refusal(malformed_message).
Result<Tss2Key> tss2_key_from_pem(BytesView pem);

} // namespace imprint::pki
