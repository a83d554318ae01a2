// SPDX-License-Identifier: Apache-2.0
#include "tests/tpm/fixture.h"

#include "daemon/base/owned.h"
#include "daemon/structures/wrap.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

namespace imprint::test {

namespace {

using Pkey = Owned<EVP_PKEY, EVP_PKEY_free>;

Bytes number(EVP_PKEY* key, const char* name)
{
    BIGNUM* value = nullptr;
    EVP_PKEY_get_bn_param(key, name, &value);
    const Owned<BIGNUM, BN_clear_free> owned(value);
    Bytes out(32);
    BN_bn2binpad(value, out.data(), 32);
    return out;
}

} // namespace

std::size_t TpmTest::handles(std::uint32_t first) const
{
    Bytes command{0x80, 0x01, 0, 0, 0, 22, 0, 0, 0x01, 0x7a, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 32};
    for (int i = 0; i < 4; ++i)
        command[14 + i] = static_cast<std::uint8_t>(first >> (24 - 8 * i));
    const auto response = tpm.send(command);
    return response.at(18); // header, moreData, capability, count
}

bool verify(const TPMT_PUBLIC& key, BytesView message, BytesView signature)
{
    const auto spki = structures::to_spki(key).or_throw();
    const auto* at = spki.data();
    const Pkey pkey(d2i_PUBKEY(nullptr, &at, static_cast<long>(spki.size())));
    const Owned<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
    return EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, pkey.get()) == 1 &&
        EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
}

SoftwareKey software_key()
{
    const Pkey pkey(EVP_EC_gen("P-256"));
    const auto x = number(pkey.get(), OSSL_PKEY_PARAM_EC_PUB_X);
    const auto y = number(pkey.get(), OSSL_PKEY_PARAM_EC_PUB_Y);
    return {structures::importable_ecc_key(x, y, {}), Secret(number(pkey.get(), OSSL_PKEY_PARAM_PRIV_KEY))};
}

} // namespace imprint::test
