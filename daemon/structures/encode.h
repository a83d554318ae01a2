// SPDX-License-Identifier: Apache-2.0
// What the computations of this folder share: big-endian numbers, concatenation, digests by TPM algorithm.
#pragma once

#include "daemon/base/bytes.h"

#include <openssl/types.h>
#include <tss2/tss2_tpm2_types.h>

#include <concepts>

namespace imprint::structures {

template <std::unsigned_integral T>
Bytes big_endian(T number)
{
    Bytes out(sizeof number);
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = static_cast<std::uint8_t>(number >> (8 * (out.size() - 1 - i)));
    return out;
}

template <class... Parts>
Bytes concat(const Parts&... parts)
{
    Bytes out;
    (out.insert(out.end(), parts.begin(), parts.end()), ...);
    return out;
}

// nullptr for an algorithm that is neither SHA-256 nor SHA-384.
const EVP_MD* md_of(TPMI_ALG_HASH alg);

} // namespace imprint::structures
