// SPDX-License-Identifier: Apache-2.0
#include "daemon/structures/sensitive.h"

#include "daemon/structures/encode.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/public_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

namespace imprint::structures {
namespace {

constexpr std::size_t max_sealed = 128; // MAX_SYM_DATA
constexpr std::size_t max_hmac_key = 64; // the block of SHA-256

using Number = Owned<BIGNUM, BN_clear_free>;
using NumberCtx = Owned<BN_CTX, BN_CTX_free>;
using ParamBuilder = Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>;
using Params = Owned<OSSL_PARAM, OSSL_PARAM_free>;
using PkeyCtx = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;

void require(bool fits, const char* what)
{
    ERR_clear_error();
    if (!fits)
        throw Error(Reason::invalid_argument, what);
}

Number number(const Secret& value)
{
    Number out(BN_secure_new());
    if (!out || BN_bin2bn(value.data(), static_cast<int>(value.size()), out.get()) == nullptr)
        throw openssl_error(Reason::internal, "cannot read a number");
    return out;
}

Params key_pair_params(const TPMT_PUBLIC& object, const Curve& curve, const Secret& scalar)
{
    const Bytes point = concat(Bytes{POINT_CONVERSION_UNCOMPRESSED}, padded(view(object.unique.ecc.x), curve.size),
                               padded(view(object.unique.ecc.y), curve.size));
    const Number d = number(scalar);
    const ParamBuilder builder(OSSL_PARAM_BLD_new());
    if (!builder || OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve.name, 0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1 ||
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY, d.get()) != 1)
        throw openssl_error(Reason::internal, "cannot set up a key pair");
    return Params(OSSL_PARAM_BLD_to_param(builder.get()));
}

// The point of `object` belongs to the scalar.
bool is_pair(const TPMT_PUBLIC& object, const Secret& scalar)
{
    const Curve curve = curve_of(object.parameters.eccDetail.curveID);
    if (!to_pkey(object) || scalar.size() != curve.size)
        return false;
    const Params params = key_pair_params(object, curve, scalar);
    const PkeyCtx maker(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
    EVP_PKEY* key = nullptr;
    if (!params || !maker || EVP_PKEY_fromdata_init(maker.get()) != 1 ||
        EVP_PKEY_fromdata(maker.get(), &key, EVP_PKEY_KEYPAIR, params.get()) != 1)
        return false;
    const Pkey pair(key);
    const PkeyCtx checker(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
    return checker && EVP_PKEY_pairwise_check(checker.get()) == 1;
}

// The modulus of `object` is a multiple of the prime, which is half as long.
bool is_factor(const TPMT_PUBLIC& object, const Secret& prime)
{
    if (!to_pkey(object) || prime.size() != object.unique.rsa.size / 2u || (*prime.begin() & 0x80) == 0)
        return false;
    const NumberCtx ctx(BN_CTX_secure_new());
    const Number modulus = number(Secret(view(object.unique.rsa)));
    const Number rest(BN_secure_new());
    return ctx && rest && BN_mod(rest.get(), modulus.get(), number(prime).get(), ctx.get()) == 1 &&
        BN_is_zero(rest.get());
}

template <class T>
void put(T& tpm2b, BytesView bytes)
{
    std::ranges::copy(bytes, tpm2b.buffer);
    tpm2b.size = static_cast<UINT16>(bytes.size());
}

void fill_keyed_hash(TPMT_PUBLIC& object, TPMT_SENSITIVE& sensitive, const Secret& value)
{
    const bool key = (object.objectAttributes & TPMA_OBJECT_SIGN_ENCRYPT) != 0;
    require(!value.empty() && value.size() <= (key ? max_hmac_key : max_sealed), "a key or secret has a wrong length");
    const Secret seed = random_secret(digest_size(object.nameAlg));
    put(sensitive.seedValue, seed.view());
    put(sensitive.sensitive.bits, value.view());
    Secret both(seed.size() + value.size());
    std::ranges::copy(value, std::ranges::copy(seed, both.data()).out);
    object.unique.keyedHash = to_tpm2b<TPM2B_DIGEST>(digest(object.nameAlg, both.view()));
}

} // namespace

void fill_sensitive(TPMT_PUBLIC& object, TPMT_SENSITIVE& sensitive, const Secret& value)
{
    sensitive.sensitiveType = object.type;
    switch (object.type) {
    case TPM2_ALG_ECC:
        require(is_pair(object, value), "a private key does not belong to its public key");
        return put(sensitive.sensitive.ecc, value.view());
    case TPM2_ALG_RSA:
        require(is_factor(object, value), "a prime does not belong to its public key");
        return put(sensitive.sensitive.rsa, value.view());
    case TPM2_ALG_KEYEDHASH:
        return fill_keyed_hash(object, sensitive, value);
    default:
        throw Error(Reason::invalid_argument, "a kind of object that is not wrapped");
    }
}

} // namespace imprint::structures
