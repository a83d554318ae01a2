// SPDX-License-Identifier: Apache-2.0
// Published numbers of the TCG profiles.
#include "daemon/structures/policy.h"

#include "daemon/structures/name.h"

#include <gtest/gtest.h>

namespace imprint::structures {
namespace {

TEST(Policy, PolicyAIsTheProfilesNumber)
{
    EXPECT_EQ(hex(ek_policy_a(TPM2_ALG_SHA256)), "837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa");
    EXPECT_EQ(hex(ek_policy_a(TPM2_ALG_SHA384)),
              "8bbf2266537c171cb56e403c4dc1d4b64f432611dc386e6f"
              "532050c3278c930e143e8bb1133824ccb431053871c6db53");
}

TEST(Policy, PolicyBIsTheProfilesNumber)
{
    EXPECT_EQ(hex(ek_policy_b(TPM2_ALG_SHA256)), "ca3d0a99a2b93906f7a3342414efcfb3a385d44cd1fd459089d19b5071c0b7a0");
    EXPECT_EQ(hex(ek_policy_b(TPM2_ALG_SHA384)),
              "b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4"
              "cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12");
}

TEST(Policy, AnotherHashIsNamedAsMissing)
{
    try {
        ek_policy_a(TPM2_ALG_SHA1);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.reason(), Reason::capability_missing);
    }
}

TEST(Policy, EpochPolicyDependsOnIndexAndValue)
{
    const Bytes name(34, 1);
    Bytes other = name;
    other.back() = 2;
    EXPECT_NE(policy_epoch(name, 3), policy_epoch(name, 5));
    EXPECT_NE(policy_epoch(name, 3), policy_epoch(other, 3));
}

} // namespace
} // namespace imprint::structures
