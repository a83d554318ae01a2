// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/secret.h"

#include "daemon/base/error.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

namespace imprint {

namespace {

using Generator = int (*)(unsigned char*, int);

void fill(std::span<std::uint8_t> bytes, Generator generator)
{
    if (generator(bytes.data(), static_cast<int>(bytes.size())) != 1)
        throw Error(Reason::internal, "the random number generator gave no bytes");
}

} // namespace

void cleanse(std::span<std::uint8_t> bytes) noexcept { OPENSSL_cleanse(bytes.data(), bytes.size()); }

Bytes random_bytes(std::size_t size)
{
    Bytes bytes(size);
    fill(bytes, RAND_bytes);
    return bytes;
}

Secret random_secret(std::size_t size)
{
    Secret secret(size);
    fill({secret.data(), secret.size()}, RAND_priv_bytes);
    return secret;
}

} // namespace imprint
