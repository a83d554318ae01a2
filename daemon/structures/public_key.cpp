// SPDX-License-Identifier: Apache-2.0
#include "daemon/structures/public_key.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

namespace imprint::structures {
namespace {

constexpr std::uint32_t default_exponent = 65537; // what a zero exponent stands for (Part 2, clause 12.2.3.5)

using ParamBuilder = Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>;
using Params = Owned<OSSL_PARAM, OSSL_PARAM_free>;
using PkeyCtx = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using Number = Owned<BIGNUM, BN_free>;

Refusal not_a_key(const std::string& detail)
{
    ERR_clear_error();
    return {Reason::malformed_message, detail};
}

Result<Pkey> from_params(const char* type, ParamBuilder& builder, const std::string& refusal)
{
    const Params params(OSSL_PARAM_BLD_to_param(builder.get()));
    const PkeyCtx ctx(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
    if (!params || !ctx || EVP_PKEY_fromdata_init(ctx.get()) != 1)
        throw openssl_error(Reason::internal, "cannot set up a public key");
    EVP_PKEY* key = nullptr;
    if (EVP_PKEY_fromdata(ctx.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
        return not_a_key(refusal);
    return Pkey(key);
}

Result<Pkey> from_ecc(const TPMT_PUBLIC& object)
{
    const Curve curve = curve_of(object.parameters.eccDetail.curveID);
    if (curve.name == nullptr)
        return Refusal{Reason::capability_missing, "an elliptic curve other than P-256 and P-384"};
    const BytesView x = view(object.unique.ecc.x);
    const BytesView y = view(object.unique.ecc.y);
    if (x.size() > curve.size || y.size() > curve.size)
        return not_a_key("a coordinate is longer than its curve");
    Bytes point{POINT_CONVERSION_UNCOMPRESSED};
    for (const BytesView number : {x, y})
        std::ranges::copy(padded(number, curve.size), std::back_inserter(point));
    ParamBuilder builder(OSSL_PARAM_BLD_new());
    if (!builder || OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve.name, 0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1)
        throw openssl_error(Reason::internal, "cannot set up a public key");
    return from_params("EC", builder, "a point is not on its curve");
}

Result<Pkey> from_rsa(const TPMT_PUBLIC& object)
{
    const BytesView modulus = view(object.unique.rsa);
    const std::size_t bits = object.parameters.rsaDetail.keyBits;
    if (bits < 2048 || bits % 8 != 0 || modulus.size() != bits / 8 || (modulus.front() & 0x80) == 0)
        return not_a_key("an RSA modulus is not as long as it says");
    const std::uint32_t exponent = object.parameters.rsaDetail.exponent;
    const Number n(BN_bin2bn(modulus.data(), static_cast<int>(modulus.size()), nullptr));
    const Number e(BN_new());
    ParamBuilder builder(OSSL_PARAM_BLD_new());
    if (!n || !e || !builder || BN_set_word(e.get(), exponent == 0 ? default_exponent : exponent) != 1 ||
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
        throw openssl_error(Reason::internal, "cannot set up a public key");
    return from_params("RSA", builder, "not an RSA key");
}

} // namespace

Curve curve_of(TPMI_ECC_CURVE curve)
{
    switch (curve) {
    case TPM2_ECC_NIST_P256:
        return {"P-256", 32};
    case TPM2_ECC_NIST_P384:
        return {"P-384", 48};
    default:
        return {};
    }
}

Bytes padded(BytesView number, std::size_t size)
{
    Bytes out(size - std::min(size, number.size()));
    out.insert(out.end(), number.begin(), number.end());
    return out;
}

Result<Pkey> to_pkey(const TPMT_PUBLIC& object)
{
    switch (object.type) {
    case TPM2_ALG_ECC:
        return from_ecc(object);
    case TPM2_ALG_RSA:
        return from_rsa(object);
    default:
        return Refusal{Reason::capability_missing, "a key that is neither RSA nor ECC"};
    }
}

Result<Bytes> to_spki(const TPMT_PUBLIC& object)
{
    const Result<Pkey> key = to_pkey(object);
    if (!key)
        return key.refusal();
    const int size = i2d_PUBKEY(key->get(), nullptr);
    if (size <= 0)
        throw openssl_error(Reason::internal, "cannot encode a public key");
    Bytes out(static_cast<std::size_t>(size));
    unsigned char* end = out.data();
    i2d_PUBKEY(key->get(), &end);
    return out;
}

bool same_key(const TPMT_PUBLIC& object, BytesView spki)
{
    const Result<Pkey> ours = to_pkey(object);
    const unsigned char* at = spki.data();
    const Pkey theirs(d2i_PUBKEY(nullptr, &at, static_cast<long>(spki.size())));
    const bool same = ours && theirs && at == spki.data() + spki.size() && EVP_PKEY_eq(ours->get(), theirs.get()) == 1;
    ERR_clear_error();
    return same;
}

} // namespace imprint::structures
