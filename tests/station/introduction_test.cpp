// SPDX-License-Identifier: Apache-2.0
// Transaction numbers and tickets in conversations: asked for, judged, reserved, burnt.
#include "tests/station/fixture.h"

#include "provisioning/station/introductions.h"

namespace imprint::test {

namespace {

using namespace std::chrono_literals;
using protocol::IntroductionCode;
using station::Required;
using station::Terms;

const pki::DeviceIdentity seven{"serial", "SN-SEVEN"};

class Introduced : public OneDevice {
protected:
    IntroductionCode issue(const Terms& terms = {})
    {
        auto transaction = store.begin();
        auto code = issue_transaction_number(store, terms, now);
        transaction.commit();
        return code;
    }
    // The same selector with another secret.
    static IntroductionCode forged(const IntroductionCode& code)
    {
        return {code.kind, code.selector, protocol::new_transaction_number().secret};
    }

    station::Answer hello_with(HonestDevice& by, const IntroductionCode& code, pki::Time at = now)
    {
        DeviceSide side(by, binding);
        return session().receive(side.send_hello(side.hello(code)), at);
    }
    // A conversation that a test keeps between its messages.
    struct Conversation {
        Conversation(Introduced& test, HonestDevice& device, station::Introductions& shared)
            : side(device, binding)
            , session(test.station, test.store, shared, {binding, "test", test.required})
        {
        }
        station::Answer hello(const IntroductionCode& code, pki::Time at = now)
        {
            return last = session.receive(side.send_hello(side.hello(code)), at);
        }
        station::Answer proof(pki::Time at = now)
        {
            return last = session.receive(bytes_of(side.proof(last.message)), at);
        }
        station::Answer backup() { return last = session.receive(bytes_of(side.backup(last.message)), now); }
        DeviceSide side;
        station::StationSession session;
        station::Answer last;
    };
    Conversation conversation(HonestDevice& by) { return {*this, by, introductions}; }

    std::optional<Reason> personalize_with(HonestDevice& by, const IntroductionCode& code)
    {
        auto line = conversation(by);
        if (!line.hello(code).last && !line.proof().last)
            line.backup();
        return refusal(line.last);
    }
    void drain_claims()
    {
        for (unsigned i = 0; i < station::AttemptLimiter::global.burst; ++i)
            introductions.limiter.wrong_claim(std::to_string(i), now);
    }
    std::string audit_text()
    {
        std::string all;
        for (const auto& entry : store.audit_log())
            all += entry.event + ' ' + entry.chip + ' ' + entry.peer + ' ' + entry.reason + ' ' + entry.detail + '\n';
        return all;
    }
};

TEST_F(Introduced, A37_NobodyIsPersonalizedWithoutOneWhereItIsRequired)
{
    required = Required::always;
    EXPECT_EQ(refusal(personalize(device)), Reason::transaction_number_required);
    EXPECT_EQ(rows("chips"), 0);
    EXPECT_EQ(personalize_with(device, issue()), std::nullopt);
    EXPECT_EQ(rows("records"), 1);
}

TEST_F(Introduced, A37_OnlyNewChipsNeedOneWhereTheFirstTimeCounts)
{
    required = Required::first;
    EXPECT_EQ(refusal(personalize(device)), Reason::transaction_number_required);
    ASSERT_EQ(personalize_with(device, issue()), std::nullopt);
    device.move_on();
    EXPECT_TRUE(is_receipt(personalize(device)));
}

TEST_F(Introduced, A34_WrongOnesAreRefusedAlsoWhereNoneIsRequired)
{
    const auto code = issue();
    EXPECT_EQ(personalize_with(device, forged(code)), Reason::transaction_number_wrong);
    EXPECT_EQ(personalize_with(device, protocol::new_transaction_number()), Reason::transaction_number_wrong);
    EXPECT_EQ(personalize_with(device, protocol::new_ticket()), Reason::transaction_number_wrong);
    EXPECT_EQ(personalize_with(device, code), std::nullopt); // none of that used it up
}

TEST_F(Introduced, Attack26_UnknownAndWrongAreOneAnswer)
{
    const auto wrong = hello_with(device, forged(issue()));
    const auto unknown = hello_with(device, protocol::new_transaction_number());
    EXPECT_EQ(refusal(wrong), Reason::transaction_number_wrong);
    EXPECT_EQ(wrong.message, unknown.message);
}

TEST_F(Introduced, A38_UsedTwiceIsRefused)
{
    const auto code = issue();
    ASSERT_EQ(personalize_with(device, code), std::nullopt);
    device.move_on();
    EXPECT_EQ(personalize_with(device, code), Reason::transaction_number_used);
    HonestDevice second(SoftwareTpm::Kind::bare, 1);
    trust(second);
    EXPECT_EQ(personalize_with(second, code), Reason::transaction_number_used);
}

TEST_F(Introduced, A34_ExpiredRevokedAndForeignOnesAreRefusedEachWithItsReason)
{
    const auto expired = issue({.valid = 60s});
    EXPECT_EQ(refusal(hello_with(device, expired, now + 60s)), Reason::transaction_number_expired);
    const auto revoked = issue();
    store.revoke_introduction(revoked.selector);
    EXPECT_EQ(personalize_with(device, revoked), Reason::transaction_number_expired);
    const auto foreign = issue({.chip = std::string(64, 'e')});
    EXPECT_EQ(personalize_with(device, foreign), Reason::transaction_number_foreign);
    // Who does not know the secret learns none of that.
    for (const auto* code : {&expired, &revoked, &foreign})
        EXPECT_EQ(refusal(hello_with(device, forged(*code), now + 60s)), Reason::transaction_number_wrong);
}

TEST_F(Introduced, A34_OneThatExpiresInTheMiddleIsNotGranted)
{
    auto line = conversation(device);
    ASSERT_FALSE(line.hello(issue({.valid = 60s}), now + 59s).last);
    EXPECT_EQ(refusal(line.proof(now + 60s)), Reason::transaction_number_expired);
    EXPECT_EQ(rows("grants"), 0);
}

TEST_F(Introduced, A34_ForTheRightChipAndATicketAreGood)
{
    ASSERT_EQ(personalize_with(device, issue({.chip = device.chip()})), std::nullopt);
    device.move_on();
    EXPECT_EQ(personalize_with(device, issue_ticket(store, {.chip = device.chip()}, now)), std::nullopt);
}

TEST_F(Introduced, Attack26_AProofFromAnotherConnectionIsWrong)
{
    const auto code = issue();
    DeviceSide side(device, Bytes(32, 0x99)); // the device's connection to the one in the middle
    EXPECT_EQ(refusal(session().receive(side.send_hello(side.hello(code)), now)), Reason::transaction_number_wrong);
    // Nor does it serve another chip.
    HonestDevice thief(SoftwareTpm::Kind::bare, 1);
    trust(thief);
    DeviceSide honest(device, binding);
    const auto stolen = honest.hello(code).hello().introduction();
    EXPECT_EQ(refusal(send_hello(thief, [&](auto& m) { *m.mutable_hello()->mutable_introduction() = stolen; })),
              Reason::transaction_number_wrong);
}

TEST_F(Introduced, Attack26_ADroppedLineBeforeTheGrantDoesNotEatIt)
{
    const auto code = issue();
    {
        auto line = conversation(device);
        ASSERT_FALSE(line.hello(code).last);
        line.session.abandon({Reason::connection_lost, ""}, now);
    }
    HonestDevice second(SoftwareTpm::Kind::bare, 1);
    trust(second);
    EXPECT_EQ(personalize_with(second, code), std::nullopt);
}

TEST_F(Introduced, Attack26_AfterTheGrantTheSameChipGoesOnWithIt)
{
    required = Required::always;
    const auto code = issue({.valid = 60s});
    {
        auto line = conversation(device);
        ASSERT_FALSE(line.hello(code).last);
        ASSERT_TRUE(is_grant(line.proof()));
    }
    HonestDevice second(SoftwareTpm::Kind::bare, 1);
    trust(second);
    EXPECT_EQ(personalize_with(second, code), Reason::transaction_number_used);
    device.move_on();
    EXPECT_EQ(refusal(hello_with(device, code, now + 24h)), std::nullopt); // not eaten by the clock either
    EXPECT_EQ(personalize_with(device, code), std::nullopt);
    EXPECT_EQ(rows("introductions", "state = 'used' AND sequence = " + std::to_string(device.epoch() + 1)), 1);
}

TEST_F(Introduced, Attack26_OneOfTwoAtTheSameTimeWins)
{
    const auto code = issue();
    HonestDevice second(SoftwareTpm::Kind::bare, 1);
    trust(second);
    auto first_line = conversation(device);
    auto second_line = conversation(second);
    ASSERT_FALSE(first_line.hello(code).last);
    EXPECT_EQ(refusal(second_line.hello(code)), Reason::transaction_number_in_use);
    EXPECT_TRUE(is_grant(first_line.proof()));
    EXPECT_EQ(rows("grants"), 1);
}

TEST_F(Introduced, Attack26_OneOfTwoProcessesWins)
{
    const auto code = issue();
    HonestDevice second(SoftwareTpm::Kind::bare, 1);
    trust(second);
    station::Introductions other_process;
    auto first_line = conversation(device);
    Conversation second_line(*this, second, other_process);
    ASSERT_FALSE(first_line.hello(code).last);
    ASSERT_FALSE(second_line.hello(code).last);
    EXPECT_TRUE(is_grant(second_line.proof()));
    EXPECT_EQ(refusal(first_line.proof()), Reason::transaction_number_used);
    EXPECT_EQ(rows("grants"), 1);
}

TEST_F(Introduced, Attack26_TheSameChipsDeadLineIsNotInItsWay)
{
    const auto code = issue();
    auto dead = conversation(device);
    ASSERT_FALSE(dead.hello(code).last);
    EXPECT_EQ(personalize_with(device, code), std::nullopt);
}

TEST_F(Introduced, Attack26_EveryEndFreesTheReservation)
{
    const auto code = issue();
    HonestDevice second(SoftwareTpm::Kind::bare, 1);
    trust(second);
    using End = std::function<void(Conversation&)>;
    const std::vector<End> ends{
        [](Conversation& line) {
            line.session.abandon({Reason::timed_out, ""}, now);
        },
        [](Conversation& line) {
            line.session.reject({Reason::message_too_large, ""}, now);
        },
        [](Conversation& line) { line.session.receive(Bytes{0}, now); },
        [](Conversation& line) {
            line.session.receive(bytes_of(protocol::refused({Reason::cancelled, ""})), now);
        },
    };
    for (const auto& end : ends) {
        auto line = conversation(device);
        ASSERT_FALSE(line.hello(code).last);
        EXPECT_EQ(refusal(hello_with(second, code)), Reason::transaction_number_in_use);
        end(line);
        EXPECT_EQ(refusal(hello_with(second, code)), std::nullopt);
    }
}

TEST_F(Introduced, Attack26_StrangersGuessesPutTheJudgementOffAndNobodyOut)
{
    required = Required::always;
    drain_claims();
    auto line = conversation(device);
    ASSERT_FALSE(line.hello(issue()).last);
    ASSERT_TRUE(is_grant(line.proof()));
    EXPECT_TRUE(is_receipt(line.backup()));

    // A wrong one is found out all the same, once the chip is proven, and before anything is granted.
    HonestDevice second(SoftwareTpm::Kind::bare, 1);
    trust(second);
    auto wrong = conversation(second);
    ASSERT_FALSE(wrong.hello(forged(issue())).last);
    EXPECT_EQ(refusal(wrong.proof()), Reason::transaction_number_wrong);
    EXPECT_EQ(rows("grants"), 1);
}

TEST_F(Introduced, Attack26_AProvenChipsOwnGuessesStopItAlone)
{
    drain_claims();
    for (unsigned i = 0; i < station::AttemptLimiter::for_each_chip.burst; ++i) {
        auto guess = conversation(device);
        guess.hello(protocol::new_transaction_number());
        ASSERT_EQ(refusal(guess.proof()), Reason::transaction_number_wrong);
    }
    auto late = conversation(device);
    late.hello(issue());
    EXPECT_EQ(refusal(late.proof()), Reason::rate_limited);
    HonestDevice second(SoftwareTpm::Kind::bare, 1);
    trust(second);
    EXPECT_EQ(personalize_with(second, issue()), std::nullopt);
    auto patient = conversation(device);
    ASSERT_FALSE(patient.hello(issue(), now + 60s).last);
    EXPECT_TRUE(is_grant(patient.proof(now + 60s)));
}

TEST_F(Introduced, A34_ANewChipBecomesTheDeviceOfItsNumber)
{
    ASSERT_EQ(personalize_with(device, issue({.identity = seven})), std::nullopt);
    EXPECT_EQ(store.chip(device.chip())->identity, seven);
    // And stays it: a number for it is good again, one for another device is not.
    device.move_on();
    EXPECT_EQ(personalize_with(device, issue({.identity = pki::DeviceIdentity{"serial", "SN-EIGHT"}})),
              Reason::transaction_number_foreign);
    EXPECT_EQ(personalize_with(device, issue({.identity = seven})), std::nullopt);
}

TEST_F(Introduced, Attack05_ANumberTakesNoIdentityAway)
{
    const auto code = issue({.identity = seven});
    ASSERT_EQ(personalize_with(device, code), std::nullopt);
    HonestDevice second(SoftwareTpm::Kind::bare, 1);
    trust(second);
    EXPECT_EQ(personalize_with(second, issue({.identity = seven})), Reason::transaction_number_foreign);
    ASSERT_TRUE(store.list_identity({second.chip(), {"serial", "LISTED"}}).or_throw());
    EXPECT_EQ(personalize_with(second, issue({.identity = pki::DeviceIdentity{"serial", "SN-EIGHT"}})),
              Reason::transaction_number_foreign);
    ASSERT_TRUE(store.list_identity({std::string(64, 'd'), {"serial", "SN-NINE"}}).or_throw());
    EXPECT_EQ(personalize_with(second, issue({.identity = pki::DeviceIdentity{"serial", "SN-NINE"}})),
              Reason::transaction_number_foreign);
    EXPECT_EQ(rows("chips"), 1);
    // What was refused at the grant is not used up.
    EXPECT_EQ(rows("introductions", "state = 'used'"), 1);
    EXPECT_EQ(personalize_with(second, issue({.identity = pki::DeviceIdentity{"serial", "LISTED"}})), std::nullopt);
}

TEST_F(Introduced, A34_TheAuditLogTellsWhoIntroducedWhomAndNeverTheNumber)
{
    const auto code = issue({.issuer = "anna"});
    hello_with(device, forged(code));
    ASSERT_EQ(personalize_with(device, code), std::nullopt);
    device.move_on();
    personalize_with(device, code);
    const auto log = audit_text();
    EXPECT_THAT(log, ::testing::HasSubstr("granted " + device.chip()));
    EXPECT_THAT(log, ::testing::HasSubstr(", introduced by tan " + code.selector + " of anna"));
    EXPECT_THAT(log, ::testing::HasSubstr("transaction-number-wrong the proof for tan " + code.selector));
    EXPECT_THAT(log, ::testing::HasSubstr("transaction-number-used tan " + code.selector));
    EXPECT_THAT(log, ::testing::Not(::testing::HasSubstr(to_string(code.secret.view()))));
}

TEST_F(Introduced, MalformedOnesAreNotEvenLookedUp)
{
    const auto good = issue();
    const auto change = [&](const std::string& selector, std::size_t proof) {
        return send_hello(device, [&](auto& m) {
            m.mutable_hello()->mutable_introduction()->set_selector(selector);
            m.mutable_hello()->mutable_introduction()->set_proof(std::string(proof, 'p'));
        });
    };
    EXPECT_EQ(refusal(change(good.selector, 32)), Reason::transaction_number_wrong);
    for (const auto size : {0U, 31U, 33U})
        EXPECT_EQ(refusal(change(good.selector, size)), Reason::malformed_message);
    for (const auto* selector : {"", "abcdefg", "' OR 1=1", "\n"})
        EXPECT_EQ(refusal(change(selector, 32)), Reason::malformed_message);
}

} // namespace

} // namespace imprint::test
