// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/pair.h"

#include "daemon/structures/name.h"
#include "tests/package/software_device.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

namespace imprint::station {
namespace {

constexpr std::array all{PairKind::p256, PairKind::p384, PairKind::rsa2048, PairKind::rsa3072};

TEST(Pairs, HaveNames)
{
    for (const auto kind : all)
        EXPECT_EQ(pair_kind(name(kind)), kind);
    EXPECT_FALSE(pair_kind("rsa1024"));
    EXPECT_FALSE(pair_kind(""));
}

// The wrap itself compares private with public part.
TEST(Pairs, B7_OfEveryKindAreMadeAndWrapped)
{
    const TPMT_PUBLIC storage_key = test::software_storage_key();
    for (const auto kind : all) {
        const pki::Key pair = make_pair(kind);
        EXPECT_EQ(kind_of(pair.get()), kind);
        for (const auto use : {structures::KeyUse::sign, structures::KeyUse::decrypt}) {
            const TPMT_PUBLIC area = public_area(pair.get(), use);
            EXPECT_TRUE(structures::same_key(area, pki::spki(pair.get()))) << name(kind);
            EXPECT_NO_THROW(structures::wrap(storage_key, area, private_value(pair.get()))) << name(kind);
        }
    }
}

TEST(Pairs, OfOtherKindsAreNone)
{
    for (const char* curve : {"secp256k1", "P-521"})
        EXPECT_FALSE(kind_of(pki::Key(EVP_EC_gen(curve)).get())) << curve;
    EXPECT_FALSE(kind_of(pki::Key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")).get()));
}

} // namespace
} // namespace imprint::station
