// SPDX-License-Identifier: Apache-2.0
#include "daemon/structures/outer_wrap.h"

#include "daemon/structures/encode.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/public_key.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/kdf.h>
#include <openssl/rsa.h>

#include <array>

namespace imprint::structures {
namespace {

using CipherCtx = Owned<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free>;
using Kdf = Owned<EVP_KDF, EVP_KDF_free>;
using KdfCtx = Owned<EVP_KDF_CTX, EVP_KDF_CTX_free>;
using PkeyCtx = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;

void require(bool done, const char* what)
{
    if (!done)
        throw openssl_error(Reason::internal, what);
}

// OpenSSL's parameters are not const, though these are only read.
OSSL_PARAM text(const char* key, const char* value)
{
    return OSSL_PARAM_construct_utf8_string(key, const_cast<char*>(value), 0);
}

OSSL_PARAM octets(const char* key, BytesView value)
{
    return OSSL_PARAM_construct_octet_string(key, const_cast<std::uint8_t*>(value.data()), value.size());
}

Secret derive(const char* algorithm, const OSSL_PARAM* params, std::size_t size)
{
    const Kdf kdf(EVP_KDF_fetch(nullptr, algorithm, nullptr));
    const KdfCtx ctx(EVP_KDF_CTX_new(kdf.get()));
    Secret out(size);
    require(ctx && EVP_KDF_derive(ctx.get(), out.data(), out.size(), params) == 1, "cannot derive a key");
    return out;
}

// Labels are hashed together with their final NUL.
Bytes terminated(std::string_view label) { return concat(label, std::array<char, 1>{}); }

Secret ecdh(EVP_PKEY* ours, EVP_PKEY* theirs)
{
    const PkeyCtx ctx(EVP_PKEY_CTX_new_from_pkey(nullptr, ours, nullptr));
    std::size_t size = 0;
    require(ctx && EVP_PKEY_derive_init(ctx.get()) == 1 && EVP_PKEY_derive_set_peer(ctx.get(), theirs) == 1 &&
                EVP_PKEY_derive(ctx.get(), nullptr, &size) == 1,
            "cannot agree on a seed");
    Secret z(size);
    require(EVP_PKEY_derive(ctx.get(), z.data(), &size) == 1 && size == z.size(), "cannot agree on a seed");
    return z;
}

// X ‖ Y, padded.
Bytes coordinates(EVP_PKEY* key, std::size_t coordinate)
{
    Bytes point(1 + 2 * coordinate);
    std::size_t size = 0;
    const bool read =
        EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size(), &size) == 1;
    require(read && size == point.size() && point.front() == POINT_CONVERSION_UNCOMPRESSED, "cannot read a point");
    point.erase(point.begin());
    return point;
}

Seed seed_by_ecdh(const TPMT_PUBLIC& key, EVP_PKEY* pkey, std::string_view label)
{
    const Curve curve = curve_of(key.parameters.eccDetail.curveID);
    const Pkey ephemeral(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", curve.name));
    require(ephemeral != nullptr, "cannot make an ephemeral key");
    const Bytes point = coordinates(ephemeral.get(), curve.size);
    const BytesView x = BytesView(point).first(curve.size);
    const BytesView y = BytesView(point).last(curve.size);
    const Bytes parent_x = padded(view(key.unique.ecc.x), curve.size);
    const Secret z = ecdh(ephemeral.get(), pkey);
    const Bytes size = big_endian(static_cast<UINT16>(curve.size));
    const auto encrypted = to_tpm2b<TPM2B_ENCRYPTED_SECRET>(concat(size, x, size, y));
    return {kdfe(key.nameAlg, z.view(), label, x, parent_x, digest_size(key.nameAlg)), marshal(encrypted)};
}

Seed seed_by_oaep(const TPMT_PUBLIC& key, EVP_PKEY* pkey, std::string_view label)
{
    Secret seed = random_secret(digest_size(key.nameAlg));
    const Bytes oaep_label = terminated(label);
    const std::array params = {text(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, OSSL_PKEY_RSA_PAD_MODE_OAEP),
                               text(OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST, EVP_MD_get0_name(md_of(key.nameAlg))),
                               octets(OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL, oaep_label), OSSL_PARAM_construct_end()};
    const PkeyCtx ctx(EVP_PKEY_CTX_new_from_pkey(nullptr, pkey, nullptr));
    Bytes out(static_cast<std::size_t>(EVP_PKEY_get_size(pkey)));
    std::size_t size = out.size();
    require(ctx && EVP_PKEY_encrypt_init_ex(ctx.get(), params.data()) == 1 &&
                EVP_PKEY_encrypt(ctx.get(), out.data(), &size, seed.data(), seed.size()) == 1 && size == out.size(),
            "cannot encrypt a seed");
    return {std::move(seed), marshal(to_tpm2b<TPM2B_ENCRYPTED_SECRET>(out))};
}

UINT16 aes_bits(const TPMT_PUBLIC& key)
{
    const bool ecc = key.type == TPM2_ALG_ECC;
    return ecc ? key.parameters.eccDetail.symmetric.keyBits.aes : key.parameters.rsaDetail.symmetric.keyBits.aes;
}

constexpr std::size_t iv_size = 16;

// AES-CFB.
Bytes encrypt(const Secret& key, BytesView iv, const Secret& plaintext)
{
    const CipherCtx ctx(EVP_CIPHER_CTX_new());
    const EVP_CIPHER* cipher = key.size() == 16 ? EVP_aes_128_cfb128() : EVP_aes_256_cfb128();
    Bytes out(plaintext.size());
    int size = 0;
    require(ctx && EVP_EncryptInit_ex2(ctx.get(), cipher, key.data(), iv.data(), nullptr) == 1 &&
                EVP_EncryptUpdate(ctx.get(), out.data(), &size, plaintext.data(), static_cast<int>(out.size())) == 1 &&
                static_cast<std::size_t>(size) == out.size(),
            "cannot encrypt");
    return out;
}

Bytes hmac(TPMI_ALG_HASH alg, const Secret& key, BytesView data)
{
    Bytes out(digest_size(alg));
    std::size_t size = 0;
    require(EVP_Q_mac(nullptr, "HMAC", nullptr, EVP_MD_get0_name(md_of(alg)), nullptr, key.data(), key.size(),
                      data.data(), data.size(), out.data(), out.size(), &size) != nullptr,
            "cannot compute a MAC");
    return out;
}

Secret encryption_key(const TPMT_PUBLIC& key, const Secret& seed, BytesView name)
{
    return kdfa(key.nameAlg, seed.view(), "STORAGE", name, aes_bits(key) / 8);
}

Bytes with_mac(const TPMT_PUBLIC& key, const Secret& seed, BytesView name, BytesView encrypted)
{
    const Secret mac_key = kdfa(key.nameAlg, seed.view(), "INTEGRITY", {}, digest_size(key.nameAlg));
    const Bytes mac = hmac(key.nameAlg, mac_key, concat(encrypted, name));
    return concat(big_endian(static_cast<UINT16>(mac.size())), mac, encrypted);
}

} // namespace

Secret kdfa(TPMI_ALG_HASH alg, BytesView key, std::string_view label, BytesView context, std::size_t size)
{
    // SP 800-108 in counter mode; the separator that OpenSSL puts behind the label is the label's NUL.
    const std::array params = {text(OSSL_KDF_PARAM_MODE, "counter"),
                               text(OSSL_KDF_PARAM_MAC, "HMAC"),
                               text(OSSL_KDF_PARAM_DIGEST, EVP_MD_get0_name(md_of(alg))),
                               octets(OSSL_KDF_PARAM_KEY, key),
                               octets(OSSL_KDF_PARAM_SALT, as_bytes(label)),
                               octets(OSSL_KDF_PARAM_INFO, context),
                               OSSL_PARAM_construct_end()};
    return derive("KBKDF", params.data(), size);
}

Secret kdfe(TPMI_ALG_HASH alg, BytesView z, std::string_view label, BytesView party_u, BytesView party_v,
            std::size_t size)
{
    const Bytes info = concat(terminated(label), party_u, party_v);
    const std::array params = {text(OSSL_KDF_PARAM_DIGEST, EVP_MD_get0_name(md_of(alg))), octets(OSSL_KDF_PARAM_KEY, z),
                               octets(OSSL_KDF_PARAM_INFO, info), OSSL_PARAM_construct_end()};
    return derive("SSKDF", params.data(), size);
}

Result<Seed> make_seed(const TPMT_PUBLIC& key, std::string_view label)
{
    const Result<Pkey> pkey = to_pkey(key);
    if (!pkey)
        return pkey.refusal();
    return key.type == TPM2_ALG_ECC ? seed_by_ecdh(key, pkey->get(), label) : seed_by_oaep(key, pkey->get(), label);
}

Bytes outer_wrap(const TPMT_PUBLIC& key, const Secret& seed, BytesView name, const Secret& plaintext)
{
    const std::array<std::uint8_t, iv_size> zero{}; // every seed is used once
    return with_mac(key, seed, name, encrypt(encryption_key(key, seed, name), zero, plaintext));
}

Bytes storage_wrap(const TPMT_PUBLIC& key, const Secret& seed, BytesView name, const Secret& plaintext)
{
    const Bytes iv = random_bytes(iv_size);
    const Bytes encrypted = encrypt(encryption_key(key, seed, name), iv, plaintext);
    return with_mac(key, seed, name, concat(big_endian(static_cast<UINT16>(iv.size())), iv, encrypted));
}

} // namespace imprint::structures
