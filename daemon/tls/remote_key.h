// SPDX-License-Identifier: Apache-2.0
// Inside of the provider: the key object and the two operation tables that are offered for it.
#pragma once

#include "daemon/tls/boundary.h"
#include "daemon/tls/provider.h"

#include <openssl/core_dispatch.h>

namespace imprint::tls {

inline constexpr const char* provider_name = "imprint";
inline constexpr const char* provider_property = "provider=imprint";
// A parameter of our own to EVP_PKEY_fromdata: points to the Signer, which is copied.
inline constexpr const char* signer_parameter = "imprint-signer";
inline constexpr const char* group_name = "prime256v1";
inline constexpr std::size_t point_size = 65; // uncompressed
inline constexpr std::size_t max_signature = 72; // DER ECDSA-Sig-Value on a 256-bit curve
inline constexpr std::size_t max_message = 64 * 1024;

struct RemoteKey {
    Bytes point;
    std::shared_ptr<const Signer> signer;
};

// OpenSSL asks for both by identifier; ended by an entry of zeros.
extern const OSSL_DISPATCH key_management[];
extern const OSSL_DISPATCH signature_operations[];

// The compiler checks the function against the type that OpenSSL will call it by.
template <class F>
OSSL_DISPATCH entry(int identifier, std::type_identity_t<F>* function)
{
    return {identifier, reinterpret_cast<void (*)()>(function)};
}

} // namespace imprint::tls
