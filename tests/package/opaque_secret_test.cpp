// SPDX-License-Identifier: Apache-2.0
#include "backup/package/opaque_secret.h"

#include "tests/support/reason.h"

#include <gtest/gtest.h>

namespace imprint::package {
namespace {

const std::string chip(64, 'a'), other_chip(64, 'b');

class OpaqueSecrets : public testing::Test {
protected:
    const OpaqueName name{chip, 7, "wifi.passphrase"};
    const Secret content = random_secret(max_opaque);
    const Secret secret = random_secret(32);
    const Bytes enveloped = seal_opaque(content, secret, name);

    bool opens(const Secret& with, const OpaqueName& as) const
    {
        const auto opened = open_secret(enveloped, with, as);
        return opened && equal(opened->view(), content.view());
    }
};

TEST_F(OpaqueSecrets, B3_OfTheLargestSizeComeBack)
{
    EXPECT_LE(enveloped.size(), max_enveloped);
    EXPECT_TRUE(opens(secret, name));
}

TEST_F(OpaqueSecrets, AreForOneChipSequenceAndLabel)
{
    EXPECT_FALSE(opens(random_secret(32), name));
    EXPECT_FALSE(opens(secret, {other_chip, 7, name.label}));
    EXPECT_FALSE(opens(secret, {chip, 9, name.label}));
    EXPECT_FALSE(opens(secret, {chip, 7, "wifi.passphras"}));
}

TEST_F(OpaqueSecrets, ChangedOnesAreRefused)
{
    for (std::size_t at = 0; at < enveloped.size(); at += 97) {
        Bytes changed = enveloped;
        changed[at] ^= 1;
        const auto opened = open_secret(changed, secret, name);
        ASSERT_FALSE(opened) << at;
        EXPECT_EQ(opened.refusal().reason, Reason::package_invalid);
    }
}

TEST_F(OpaqueSecrets, HaveOneByteAtLeastAnd64KiBAtMost)
{
    for (const std::size_t size : {std::size_t{0}, max_opaque + 1})
        EXPECT_EQ(test::reason_of([&] { seal_opaque(Secret(size), secret, name); }), Reason::package_invalid);
}

} // namespace
} // namespace imprint::package
