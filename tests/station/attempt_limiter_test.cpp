// SPDX-License-Identifier: Apache-2.0
// A million guesses by a fake clock, and what they cost honest devices: nothing.
#include "provisioning/station/check_introduction.h"

#include "tests/support/process.h"

#include <gtest/gtest.h>

namespace imprint::station {

namespace {

using namespace std::chrono_literals;

const pki::Time start{1'900'000'000s};
const std::string honest(64, 'a');
const Bytes binding(32, 0x42);

Claim claim_of(const std::string& chip, const std::string& selector, Bytes proof)
{
    Claim claim;
    claim.chip = chip;
    claim.nonce = Bytes(32, 7);
    claim.introduction = {selector, std::move(proof)};
    return claim;
}

class Guessing : public ::testing::Test {
protected:
    Guessing() { honest_code = issue_transaction_number(store, {.valid = max_valid}, start); }

    // A stranger's Hello in the name of a chip; whether the guess was judged at all.
    bool guess(const std::string& chip, pki::Time now)
    {
        if (!introductions.limiter.may_judge_claim(chip, now))
            return false; // put off until Proof, which the stranger cannot give
        const auto claim = claim_of(chip, honest_code.selector, random_bytes(32));
        EXPECT_EQ(check_introduction(store, introductions, claim, binding, now).refusal().reason,
                  Reason::transaction_number_wrong);
        introductions.limiter.wrong_claim(chip, now);
        return true;
    }
    // What the honest device meets: its number is judged at Hello, or after Proof, but never refused unjudged.
    bool honest_gets_through(pki::Time now)
    {
        const auto proof = protocol::introduction_proof(verifier_of(honest_code), binding, honest, Bytes(32, 7));
        const bool judged =
            introductions.limiter.may_judge_claim(honest, now) || introductions.limiter.may_judge_proven(honest, now);
        const auto claim = claim_of(honest, honest_code.selector, proof);
        return judged && bool(check_introduction(store, introductions, claim, binding, now));
    }

    test::TemporaryDirectory directory;
    Store store{directory / "station.db"};
    Introductions introductions;
    protocol::IntroductionCode honest_code;
};

TEST_F(Guessing, Attack26_AMillionGuessesAreHardlyJudgedAndLockNobodyOut)
{
    constexpr int a_second = 100;
    constexpr int seconds = 10'000;
    unsigned judged = 0;
    for (int second = 0; second < seconds; ++second) {
        const auto now = start + std::chrono::seconds(second);
        for (int i = 0; i < a_second; ++i) // every other one in the honest device's own name
            judged += guess(i % 2 == 0 ? honest : std::to_string(i), now) ? 1 : 0;
        if (second % 100 == 0) {
            EXPECT_TRUE(honest_gets_through(now)) << "after " << second << " s";
        }
    }
    EXPECT_LE(judged, AttemptLimiter::global.burst + seconds);
    EXPECT_TRUE(honest_gets_through(start + std::chrono::seconds(seconds)));
}

TEST_F(Guessing, Attack26_AStolenChipsGuessesAreBounded)
{
    unsigned judged = 0;
    for (int second = 0; second < 3600; ++second)
        for (int i = 0; i < 10; ++i) {
            const auto now = start + std::chrono::seconds(second);
            if (!introductions.limiter.may_judge_proven("stolen", now))
                continue;
            introductions.limiter.wrong_proven("stolen", now);
            ++judged;
        }
    EXPECT_LE(judged, AttemptLimiter::for_each_chip.burst + 60);
    EXPECT_GE(judged, AttemptLimiter::for_each_chip.burst + 58);
    EXPECT_TRUE(introductions.limiter.may_judge_proven(honest, start));
}

TEST(Buckets, RefillAndSurviveAClockThatIsSetBack)
{
    const Rate rate{.burst = 3, .refill = 10s};
    TokenBucket bucket;
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(bucket.has_token(rate, start));
        bucket.take(rate, start);
    }
    EXPECT_FALSE(bucket.has_token(rate, start + 9s));
    EXPECT_TRUE(bucket.has_token(rate, start + 10s));
    EXPECT_FALSE(bucket.has_token(rate, start - 24h));
    bucket.take(rate, start - 24h);
    EXPECT_TRUE(bucket.has_token(rate, start - 24h + 20s));
    EXPECT_TRUE(bucket.is_full(start));
}

TEST(Buckets, Attack26_RememberABoundedNumberOfChips)
{
    ChipBuckets buckets(AttemptLimiter::for_each_chip);
    const std::string worst = "worst";
    for (unsigned i = 0; i < AttemptLimiter::for_each_chip.burst; ++i)
        buckets.take(worst, start);
    for (std::size_t i = 0; i < 3 * ChipBuckets::max_chips; ++i)
        buckets.take(std::to_string(i), start);
    EXPECT_LE(buckets.size(), ChipBuckets::max_chips);
    EXPECT_FALSE(buckets.has_token(worst, start)); // the mildest are forgotten first
    buckets.take("later", start + 1h);
    EXPECT_EQ(buckets.size(), 1U);
}

} // namespace

} // namespace imprint::station
