// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/pair.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>

#include <array>

namespace imprint::station {

namespace {

using Number = Owned<BIGNUM, BN_clear_free>;

struct Known {
    PairKind kind;
    std::string_view name;
    bool rsa;
    int bits;
    const char* curve;
};
constexpr std::array<Known, 4> kinds{{{PairKind::p256, "p256", false, 256, "P-256"},
                                      {PairKind::p384, "p384", false, 384, "P-384"},
                                      {PairKind::rsa2048, "rsa2048", true, 2048, nullptr},
                                      {PairKind::rsa3072, "rsa3072", true, 3072, nullptr}}};

const Known& known(PairKind kind) { return *std::ranges::find(kinds, kind, &Known::kind); }

Number number(const EVP_PKEY* key, const char* name)
{
    BIGNUM* out = nullptr;
    if (EVP_PKEY_get_bn_param(key, name, &out) != 1)
        throw openssl_error(Reason::internal, "cannot read a key pair");
    return Number(out);
}

Bytes bytes(const Number& value, std::size_t size)
{
    Bytes out(size);
    if (BN_bn2binpad(value.get(), out.data(), static_cast<int>(size)) < 0)
        throw openssl_error(Reason::internal, "cannot read a key pair");
    return out;
}

std::size_t size_of(const EVP_PKEY* pair) { return (static_cast<std::size_t>(EVP_PKEY_get_bits(pair)) + 7) / 8; }

} // namespace

std::string_view name(PairKind kind) { return known(kind).name; }

bool is_rsa(PairKind kind) { return known(kind).rsa; }

std::optional<PairKind> pair_kind(std::string_view name)
{
    const auto* found = std::ranges::find(kinds, name, &Known::name);
    return found == kinds.end() ? std::nullopt : std::optional(found->kind);
}

pki::Key make_pair(PairKind kind)
{
    const Known& wanted = known(kind);
    pki::Key key(wanted.rsa ? EVP_RSA_gen(static_cast<unsigned>(wanted.bits)) : EVP_EC_gen(wanted.curve));
    if (!key)
        throw openssl_error(Reason::internal, "cannot make a key pair");
    return key;
}

std::optional<PairKind> kind_of(const EVP_PKEY* pair)
{
    std::array<char, 32> group{};
    for (const auto& kind : kinds) {
        if (EVP_PKEY_is_a(pair, kind.rsa ? "RSA" : "EC") != 1 || EVP_PKEY_get_bits(pair) != kind.bits)
            continue;
        if (kind.rsa || EVP_PKEY_get_group_name(pair, group.data(), group.size(), nullptr) != 1 ||
            OBJ_sn2nid(group.data()) == EC_curve_nist2nid(kind.curve))
            return kind.kind;
    }
    return std::nullopt;
}

TPMT_PUBLIC public_area(const EVP_PKEY* pair, structures::KeyUse use)
{
    const std::size_t size = size_of(pair);
    if (EVP_PKEY_is_a(pair, "RSA") == 1)
        return structures::importable_rsa_key(bytes(number(pair, OSSL_PKEY_PARAM_RSA_N), size), {}, use);
    return structures::importable_ecc_key(bytes(number(pair, OSSL_PKEY_PARAM_EC_PUB_X), size),
                                          bytes(number(pair, OSSL_PKEY_PARAM_EC_PUB_Y), size), {}, use);
}

Secret private_value(const EVP_PKEY* pair)
{
    const bool rsa = EVP_PKEY_is_a(pair, "RSA") == 1;
    const Number value = number(pair, rsa ? OSSL_PKEY_PARAM_RSA_FACTOR1 : OSSL_PKEY_PARAM_PRIV_KEY);
    Secret out(rsa ? size_of(pair) / 2 : size_of(pair));
    if (BN_bn2binpad(value.get(), out.data(), static_cast<int>(out.size())) < 0)
        throw openssl_error(Reason::internal, "cannot read a key pair");
    return out;
}

} // namespace imprint::station
