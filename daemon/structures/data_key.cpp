// SPDX-License-Identifier: Apache-2.0
#include "daemon/structures/data_key.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/public_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include <array>

namespace imprint::structures {

namespace {

using Number = Owned<BIGNUM, BN_free>;

constexpr TPMT_SIG_SCHEME scheme(TPMI_ALG_SIG_SCHEME algorithm, TPMI_ALG_HASH hash)
{
    return {.scheme = algorithm, .details = {.any = {.hashAlg = hash}}};
}

constexpr std::array algorithms{
    SignatureAlgorithm{"ecdsa-sha256", TPM2_ALG_ECC, scheme(TPM2_ALG_ECDSA, TPM2_ALG_SHA256), 32},
    SignatureAlgorithm{"ecdsa-sha384", TPM2_ALG_ECC, scheme(TPM2_ALG_ECDSA, TPM2_ALG_SHA384), 48},
    SignatureAlgorithm{"rsa-pss-sha256", TPM2_ALG_RSA, scheme(TPM2_ALG_RSAPSS, TPM2_ALG_SHA256), 32},
    SignatureAlgorithm{"rsa-pss-sha384", TPM2_ALG_RSA, scheme(TPM2_ALG_RSAPSS, TPM2_ALG_SHA384), 48},
    SignatureAlgorithm{"rsa-pkcs1-sha256", TPM2_ALG_RSA, scheme(TPM2_ALG_RSASSA, TPM2_ALG_SHA256), 32},
    SignatureAlgorithm{"rsa-pkcs1-sha384", TPM2_ALG_RSA, scheme(TPM2_ALG_RSASSA, TPM2_ALG_SHA384), 48},
};

Refusal bad_peer(const std::string& why) { return {Reason::invalid_argument, "the other side's public key: " + why}; }

Number coordinate(const EVP_PKEY* key, const char* name)
{
    BIGNUM* number = nullptr;
    EVP_PKEY_get_bn_param(key, name, &number);
    return Number(number);
}

TPM2B_ECC_PARAMETER parameter(const BIGNUM* number, std::size_t size)
{
    Bytes bytes(size);
    if (BN_bn2binpad(number, bytes.data(), static_cast<int>(size)) < 0)
        throw openssl_error(Reason::internal, "cannot encode a coordinate");
    return to_tpm2b<TPM2B_ECC_PARAMETER>(bytes);
}

bool is_on(const EVP_PKEY* key, const char* curve)
{
    std::array<char, 32> group{};
    std::size_t size = 0;
    return EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size(), &size) == 1 &&
        OBJ_txt2nid(group.data()) == EC_curve_nist2nid(curve);
}

} // namespace

std::string_view name(DataKeyKind kind)
{
    switch (kind) {
    case DataKeyKind::hmac:
        return "hmac";
    case DataKeyKind::signing:
        return "signing";
    case DataKeyKind::agreement:
        return "agreement";
    case DataKeyKind::decryption:
        return "decryption";
    case DataKeyKind::opaque:
        return "opaque";
    }
    return "unknown";
}

std::optional<DataKeyKind> data_key_kind(const TPMT_PUBLIC& area)
{
    const bool signs = (area.objectAttributes & TPMA_OBJECT_SIGN_ENCRYPT) != 0;
    const bool decrypts = (area.objectAttributes & TPMA_OBJECT_DECRYPT) != 0;
    if ((area.objectAttributes & TPMA_OBJECT_RESTRICTED) != 0 || (signs && decrypts))
        return std::nullopt;
    if (area.type == TPM2_ALG_KEYEDHASH && !decrypts)
        return signs ? DataKeyKind::hmac : DataKeyKind::opaque;
    if ((area.type == TPM2_ALG_ECC || area.type == TPM2_ALG_RSA) && signs)
        return DataKeyKind::signing;
    if (area.type == TPM2_ALG_ECC && decrypts)
        return DataKeyKind::agreement;
    if (area.type == TPM2_ALG_RSA && decrypts)
        return DataKeyKind::decryption;
    return std::nullopt;
}

const SignatureAlgorithm* signature_algorithm(std::string_view name)
{
    const auto* found = std::ranges::find(algorithms, name, &SignatureAlgorithm::name);
    return found == algorithms.end() ? nullptr : found;
}

std::vector<std::string_view> signature_algorithms(const TPMT_PUBLIC& area)
{
    std::vector<std::string_view> names;
    if (data_key_kind(area) == DataKeyKind::signing)
        for (const auto& algorithm : algorithms)
            if (algorithm.key == area.type)
                names.push_back(algorithm.name);
    return names;
}

Result<TPMS_ECC_POINT> peer_point(BytesView spki, const TPMT_PUBLIC& own)
{
    const Curve curve = curve_of(own.parameters.eccDetail.curveID);
    const std::uint8_t* data = spki.data();
    const Pkey key(d2i_PUBKEY(nullptr, &data, static_cast<long>(spki.size())));
    ERR_clear_error();
    if (!key || data != spki.data() + spki.size())
        return bad_peer("not a SubjectPublicKeyInfo in DER");
    if (curve.name == nullptr || EVP_PKEY_is_a(key.get(), "EC") != 1 || !is_on(key.get(), curve.name))
        return bad_peer("not on the curve of the device's key");
    const Number x = coordinate(key.get(), OSSL_PKEY_PARAM_EC_PUB_X);
    const Number y = coordinate(key.get(), OSSL_PKEY_PARAM_EC_PUB_Y);
    if (!x || !y)
        return bad_peer("no point");
    return TPMS_ECC_POINT{parameter(x.get(), curve.size), parameter(y.get(), curve.size)};
}

} // namespace imprint::structures
