// SPDX-License-Identifier: Apache-2.0
// TPM 2.0 structures (TCG TPM 2.0 Library, Part 2) to bytes and back, without a TPM.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/error.h"
#include "daemon/base/secret.h"

#include <tss2/tss2_tpm2_types.h>

namespace imprint::structures {

// The canonical (big-endian) form. Defined for TPMT_PUBLIC, TPM2B_PUBLIC, TPM2B_PRIVATE, TPM2B_ENCRYPTED_SECRET,
// TPM2B_ID_OBJECT, TPM2B_CREATION_DATA, TPMS_NV_PUBLIC, TPM2B_NV_PUBLIC, TPMS_ATTEST, TPMT_SIGNATURE.
// Throws Error(invalid_argument) for contents that the structure cannot have.
template <class T>
Bytes marshal(const T& value);

// Strict: the whole input is consumed and marshals back to the same bytes; otherwise Refusal(malformed_message).
template <class T>
Result<T> unmarshal(BytesView bytes);

// TPM2B_SENSITIVE, its size included. Sensitive areas are written only, and never into ordinary memory.
Secret marshal_sensitive(const TPMT_SENSITIVE& sensitive);

// Copies between TPM2B structures and byte strings. to_tpm2b throws Error(invalid_argument) if it does not fit.
template <class T>
T to_tpm2b(BytesView bytes)
{
    T out{};
    auto& buffer = [&]() -> auto&
    {
        if constexpr (requires { out.buffer; })
            return out.buffer;
        else if constexpr (requires { out.name; })
            return out.name;
        else if constexpr (requires { out.secret; })
            return out.secret;
        else
            return out.credential;
    }
    ();
    if (bytes.size() > sizeof buffer)
        throw Error(Reason::invalid_argument, "a byte string is too long for its TPM structure");
    std::ranges::copy(bytes, buffer);
    out.size = static_cast<UINT16>(bytes.size());
    return out;
}

template <class T>
BytesView view(const T& tpm2b)
{
    if constexpr (requires { tpm2b.buffer; })
        return {tpm2b.buffer, tpm2b.size};
    else if constexpr (requires { tpm2b.name; })
        return {tpm2b.name, tpm2b.size};
    else if constexpr (requires { tpm2b.secret; })
        return {tpm2b.secret, tpm2b.size};
    else
        return {tpm2b.credential, tpm2b.size};
}

} // namespace imprint::structures
