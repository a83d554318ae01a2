// SPDX-License-Identifier: Apache-2.0
#include "daemon/tpm/ek_certificate.h"

#include "daemon/base/owned.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

namespace imprint::tpm {

namespace {

using Pkey = Owned<EVP_PKEY, EVP_PKEY_free>;
using Number = Owned<BIGNUM, BN_free>;
constexpr std::uint32_t default_exponent = 65537;

// The RSA key in a bit string, whatever the algorithm identifier says (id-RSAES-OAEP occurs).
bool fill_in_rsa(TPMT_PUBLIC& area, BytesView bits)
{
    const std::uint8_t* at = bits.data();
    const Pkey key(d2i_PublicKey(EVP_PKEY_RSA, nullptr, &at, static_cast<long>(bits.size())));
    BIGNUM* modulus = nullptr;
    BIGNUM* exponent = nullptr;
    if (!key || !EVP_PKEY_get_bn_param(key.get(), OSSL_PKEY_PARAM_RSA_N, &modulus))
        return false;
    const Number owned_modulus(modulus);
    if (!EVP_PKEY_get_bn_param(key.get(), OSSL_PKEY_PARAM_RSA_E, &exponent))
        return false;
    const Number owned_exponent(exponent);
    Bytes bytes(static_cast<std::size_t>(BN_num_bytes(modulus)));
    BN_bn2bin(modulus, bytes.data());
    if (bytes.size() * 8 != area.parameters.rsaDetail.keyBits || !BN_is_word(exponent, default_exponent))
        return false;
    area.unique.rsa = structures::to_tpm2b<TPM2B_PUBLIC_KEY_RSA>(bytes);
    return true;
}

bool fill_in_ecc(TPMT_PUBLIC& area, BytesView point, BytesView spki)
{
    constexpr std::uint8_t uncompressed = 4;
    const auto size = point.size() / 2;
    if (size == 0 || size > sizeof area.unique.ecc.x.buffer || point.size() % 2 == 0 || point[0] != uncompressed)
        return false;
    area.unique.ecc.x = structures::to_tpm2b<TPM2B_ECC_PARAMETER>(point.subspan(1, size));
    area.unique.ecc.y = structures::to_tpm2b<TPM2B_ECC_PARAMETER>(point.subspan(1 + size));
    return structures::same_key(area, spki); // the same curve, and the point is on it
}

} // namespace

std::optional<EkCertificate> parse_ek_certificate(BytesView padded)
{
    const std::uint8_t* at = padded.data();
    const Owned<X509, X509_free> x509(d2i_X509(nullptr, &at, static_cast<long>(padded.size())));
    ERR_clear_error();
    if (!x509)
        return std::nullopt;
    std::uint8_t* spki = nullptr;
    const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x509.get()), &spki);
    const Owned<std::uint8_t, [](std::uint8_t* p) { OPENSSL_free(p); }> owned(spki);
    if (size <= 0)
        return std::nullopt;
    return EkCertificate{Bytes(padded.data(), at), Bytes(spki, spki + size)};
}

std::vector<Bytes> split_certificates(BytesView bytes)
{
    std::vector<Bytes> out;
    while (!bytes.empty()) {
        const auto certificate = parse_ek_certificate(bytes);
        if (certificate)
            out.push_back(certificate->der);
        bytes = bytes.subspan(certificate ? certificate->der.size() : 1);
    }
    return out;
}

std::optional<TPMT_PUBLIC> fill_in(TPMT_PUBLIC shape, BytesView spki)
{
    const std::uint8_t* at = spki.data();
    const Owned<X509_PUBKEY, X509_PUBKEY_free> info(d2i_X509_PUBKEY(nullptr, &at, static_cast<long>(spki.size())));
    const std::uint8_t* bits = nullptr;
    int size = 0;
    const bool read = info && X509_PUBKEY_get0_param(nullptr, &bits, &size, nullptr, info.get()) == 1 && size > 0;
    const BytesView key(bits, read ? static_cast<std::size_t>(size) : 0);
    const bool fits = read && (shape.type == TPM2_ALG_RSA ? fill_in_rsa(shape, key) : fill_in_ecc(shape, key, spki));
    ERR_clear_error();
    return fits ? std::optional(shape) : std::nullopt;
}

} // namespace imprint::tpm
