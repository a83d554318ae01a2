// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/hkdf.h"

#include "daemon/base/error.h"
#include "daemon/base/owned.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/sha.h>

#include <array>

namespace imprint {

Secret hkdf_sha256(const Secret& key, BytesView info, std::size_t size)
{
    const Owned<EVP_KDF, EVP_KDF_free> kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr));
    const Owned<EVP_KDF_CTX, EVP_KDF_CTX_free> context(EVP_KDF_CTX_new(kdf.get()));
    Secret input = key.clone(); // OpenSSL's parameters are not const
    Bytes label(info.begin(), info.end());
    std::string digest = "SHA256";
    const std::array parameters{
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, input.data(), input.size()),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, label.data(), label.size()),
        OSSL_PARAM_construct_end(),
    };
    Secret derived(size);
    if (!context || EVP_KDF_derive(context.get(), derived.data(), derived.size(), parameters.data()) != 1)
        throw openssl_error(Reason::internal, "cannot derive a key");
    return derived;
}

Secret hmac_sha256(const Secret& key, BytesView input)
{
    Secret out(SHA256_DIGEST_LENGTH);
    unsigned size = 0;
    if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), input.data(), input.size(), out.data(), &size) ==
        nullptr)
        throw openssl_error(Reason::internal, "cannot compute an HMAC");
    return out;
}

} // namespace imprint
