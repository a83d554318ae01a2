// SPDX-License-Identifier: Apache-2.0
#include "tests/structures/software_key.h"

#include "daemon/structures/marshal.h"

#include <openssl/ec.h>

namespace imprint::structures {
namespace {

using Number = Owned<BIGNUM, BN_clear_free>;
using MdCtx = Owned<EVP_MD_CTX, EVP_MD_CTX_free>;

Secret parameter(EVP_PKEY* key, const char* name, std::size_t size)
{
    BIGNUM* number = nullptr;
    EVP_PKEY_get_bn_param(key, name, &number);
    const Number owned(number);
    Secret out(size);
    BN_bn2binpad(number, out.data(), static_cast<int>(size));
    return out;
}

Bytes open(const Secret& secret) { return {secret.begin(), secret.end()}; }

TPM2B_ECC_PARAMETER coordinate(const BIGNUM* number)
{
    TPM2B_ECC_PARAMETER out{.size = 32, .buffer = {}};
    BN_bn2binpad(number, out.buffer, 32);
    return out;
}

} // namespace

SoftwareKey::SoftwareKey()
    : key_(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"))
{
}

Bytes SoftwareKey::x() const { return open(parameter(key_.get(), OSSL_PKEY_PARAM_EC_PUB_X, 32)); }

Bytes SoftwareKey::y() const { return open(parameter(key_.get(), OSSL_PKEY_PARAM_EC_PUB_Y, 32)); }

Secret SoftwareKey::scalar() const { return parameter(key_.get(), OSSL_PKEY_PARAM_PRIV_KEY, 32); }

Bytes SoftwareKey::sign(BytesView message) const
{
    const MdCtx ctx(EVP_MD_CTX_new());
    std::size_t size = 80;
    Bytes der(size);
    EVP_DigestSignInit(ctx.get(), nullptr, EVP_sha256(), nullptr, key_.get());
    EVP_DigestSign(ctx.get(), der.data(), &size, message.data(), message.size());
    const unsigned char* at = der.data();
    const Owned<ECDSA_SIG, ECDSA_SIG_free> pair(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(size)));
    TPMT_SIGNATURE out{.sigAlg = TPM2_ALG_ECDSA, .signature = {}};
    out.signature.ecdsa = {.hash = TPM2_ALG_SHA256,
                           .signatureR = coordinate(ECDSA_SIG_get0_r(pair.get())),
                           .signatureS = coordinate(ECDSA_SIG_get0_s(pair.get()))};
    return marshal(out);
}

TPMT_PUBLIC SoftwareKey::in(TPMT_PUBLIC area) const
{
    area.unique.ecc = {.x = to_tpm2b<TPM2B_ECC_PARAMETER>(x()), .y = to_tpm2b<TPM2B_ECC_PARAMETER>(y())};
    return area;
}

SoftwareRsaKey::SoftwareRsaKey()
    : key_(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048}))
{
}

Bytes SoftwareRsaKey::modulus() const { return open(parameter(key_.get(), OSSL_PKEY_PARAM_RSA_N, 256)); }

Secret SoftwareRsaKey::prime() const { return parameter(key_.get(), OSSL_PKEY_PARAM_RSA_FACTOR1, 128); }

bool SoftwareRsaKey::verifies(BytesView message, BytesView signature) const
{
    const MdCtx ctx(EVP_MD_CTX_new());
    return EVP_DigestVerifyInit(ctx.get(), nullptr, EVP_sha256(), nullptr, key_.get()) == 1 &&
        EVP_DigestVerify(ctx.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
}

bool differ_throughout(BytesView a, BytesView b)
{
    constexpr std::size_t window = 8;
    for (std::size_t i = 0; i + window <= std::min(a.size(), b.size()); ++i)
        if (equal(a.subspan(i, window), b.subspan(i, window)))
            return false;
    return true;
}

} // namespace imprint::structures
