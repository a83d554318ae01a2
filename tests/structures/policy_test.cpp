// SPDX-License-Identifier: Apache-2.0
// Policy digests, compared with the published numbers of the TCG profiles and with trial sessions of a TPM.
#include "daemon/structures/policy.h"

#include "daemon/structures/name.h"
#include "daemon/structures/templates.h"
#include "tests/structures/chip.h"
#include "tests/support/reason.h"

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
    EXPECT_EQ(test::reason_of([] { ek_policy_a(TPM2_ALG_SHA1); }), Reason::capability_missing);
}

TEST(Policy, EpochPolicyDependsOnIndexAndValue)
{
    const Bytes name(34, 1);
    Bytes other = name;
    other.back() = 2;
    EXPECT_NE(policy_epoch(name, 3), policy_epoch(name, 5));
    EXPECT_NE(policy_epoch(name, 3), policy_epoch(other, 3));
}

class PolicyOnTpm : public testing::Test {
protected:
    void command_code(ESYS_TR session, TPM2_CC command)
    {
        check(Esys_PolicyCommandCode(chip.esys(), session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, command),
              "PolicyCommandCode");
    }
    void policy_a(ESYS_TR session)
    {
        check(Esys_PolicySecret(chip.esys(), ESYS_TR_RH_ENDORSEMENT, session, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                ESYS_TR_NONE, nullptr, nullptr, nullptr, 0, nullptr, nullptr),
              "PolicySecret");
    }
    Chip chip;
};

TEST_F(PolicyOnTpm, CommandCodeIsTheTpms)
{
    for (const TPM2_CC command : {TPM2_CC_Import, TPM2_CC_Load, TPM2_CC_Create, TPM2_CC_Unseal})
        EXPECT_EQ(policy_command_code(command), chip.trial([&](ESYS_TR tr) { command_code(tr, command); }));
}

TEST_F(PolicyOnTpm, StorageKeysIsTheTpmsAndOfThreeCommands)
{
    const std::array<TPM2_CC, 3> commands{TPM2_CC_Import, TPM2_CC_Load, TPM2_CC_Create};
    const auto branches = storage_key_policy_branches();
    for (std::size_t i = 0; i < commands.size(); ++i)
        EXPECT_EQ(branches[i], policy_command_code(commands[i]));
    EXPECT_EQ(storage_key_policy(), chip.trial([&](ESYS_TR tr) { chip.policy_or(tr, branches); }));
}

TEST_F(PolicyOnTpm, EpochIsTheTpms)
{
    const std::uint64_t odd = chip.define_epoch() + 1;
    const ESYS_TR index = chip.epoch();
    TPM2B_OPERAND operand{.size = 8, .buffer = {}};
    for (unsigned i = 0; i < operand.size; ++i)
        operand.buffer[i] = static_cast<BYTE>(odd >> (56 - 8 * i));
    const auto epoch = [&](ESYS_TR tr) {
        check(Esys_PolicyNV(chip.esys(), index, index, tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &operand, 0,
                            TPM2_EO_EQ),
              "PolicyNV");
    };
    EXPECT_EQ(policy_epoch(name_of(epoch_index(epoch_handle, true)), odd), chip.trial(epoch));
}

TEST_F(PolicyOnTpm, EndorsementKeysAreTheTpms)
{
    for (const TPMI_ALG_HASH alg : {TPM2_ALG_SHA256, TPM2_ALG_SHA384}) {
        const auto branches = ek_policy_b_branches(alg);
        EXPECT_EQ(ek_policy_a(alg), chip.trial([&](ESYS_TR tr) { policy_a(tr); }, alg));
        EXPECT_EQ(ek_policy_b(alg), chip.trial([&](ESYS_TR tr) { chip.policy_or(tr, branches); }, alg));
    }
}

} // namespace
} // namespace imprint::structures
