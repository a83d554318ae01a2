// SPDX-License-Identifier: Apache-2.0
// The power fails, or the TPM does, at every single command: afterwards the device is in one of its whole states, and
// running the job again succeeds.
#include "tests/device/fixture.h"
#include "tests/device/test_archive.h"

namespace imprint::test {
namespace {

class Crash : public DeviceTest {
protected:
    // A key that is imported by itself, and one under a parent.
    Crash() { station.give({{{"channel", station::DerivedKey{"channel", 1}}, {"file", station::PairKey{}, true}}}); }

    using Fault = std::function<void(std::size_t)>; // arms itself for the command with this number from now

    // The daemon dies with the command's answer known to it.
    Fault killed()
    {
        return [this](std::size_t n) {
            const std::size_t last = box.wire.count() + n;
            box.wire.before = [this, last](std::size_t number, std::uint32_t) {
                return met(number > last, TSS2_TCTI_RC_IO_ERROR);
            };
        };
    }
    // ... and with the command done by the TPM, but not answered.
    Fault unanswered()
    {
        return [this](std::size_t n) {
            const std::size_t last = box.wire.count() + n;
            box.wire.after = [this, last](const Exchange& exchange) {
                return met(exchange.number >= last, TSS2_TCTI_RC_IO_ERROR);
            };
        };
    }
    // One command fails; the daemon lives on.
    Fault failing(TSS2_RC rc)
    {
        return [this, rc](std::size_t n) {
            const std::size_t number = box.wire.count() + n + 1;
            box.wire.before = [this, number, rc](std::size_t count, std::uint32_t) { return met(count == number, rc); };
        };
    }

    // The TPM is reset before the command.
    Fault reset()
    {
        return [this](std::size_t n) {
            const std::size_t number = box.wire.count() + n + 1;
            box.wire.before = [this, number](std::size_t count, std::uint32_t) -> std::optional<TSS2_RC> {
                if (met(count == number, TSS2_RC_SUCCESS))
                    box.tpm.restart();
                return std::nullopt;
            };
        };
    }

    std::optional<TSS2_RC> met(bool now, TSS2_RC rc)
    {
        met_ = met_ || now;
        return now ? std::optional(rc) : std::nullopt;
    }

    // Runs `job` with the fault at each command in turn (or each `stride`-th), until it gets through without meeting
    // it. After each fault the device has to be in one of `whole`, and in the last of them where the job was told as
    // done; `again` brings it to where `job` can start.
    void at_every_command(const Fault& fault, const std::function<void()>& job, const std::vector<State>& whole,
                          const std::function<void()>& again, std::size_t stride = 1)
    {
        for (std::size_t n = 0;; n += stride) {
            ASSERT_LT(n, 200U) << "it never gets through";
            met_ = false;
            fault(n);
            const auto failed = reason_of(job);
            const bool met = met_;
            failures_[failed] += 1;
            box.kill();
            box.wire.after = {};
            box.boot();
            ASSERT_THAT(whole, ::testing::Contains(box.state()))
                << "in " << name(box.state()) << " after " << n << ": " << box.device().status().detail;
            ASSERT_TRUE(failed || box.state() == whole.back()) << "told as done, with a fault at command " << n;
            again();
            if (!met)
                return;
        }
    }

    void finish_personalization()
    {
        if (box.state() != State::operating)
            box.personalize(station, true);
        ASSERT_EQ(name(box.state()), name(State::operating));
        ASSERT_NO_THROW(box.sign(box.epoch(), as_bytes("whole")));
        expect_keys_work();
    }
    void expect_keys_work()
    {
        using Operation = device::KeyUse::Operation;
        EXPECT_NO_THROW(box.device().use_key({Operation::hmac, "channel", {}, to_bytes("whole"), 0}));
        EXPECT_NO_THROW(box.device().use_key({Operation::sign, "file", {}, Bytes(32, 7), 0}));
    }
    void back_to_personalization()
    {
        finish_personalization();
        box.device().enter_personalization({});
    }
    void publish()
    {
        const Bytes record = box.device().export_backup();
        archive.publish(box.chip(), box.epoch(), record, manufacturer().archive);
    }

    TestArchive archive;
    std::atomic<bool> met_ = false;
    std::map<std::optional<Reason>, int> failures_; // how often the job ended so
};

const std::vector<State> on_the_way{State::blank, State::personalization, State::operating};

TEST(FirstCrash, Attack08_KilledAfterEveryCommandFromBlankToOperating)
{
    TestStation station(manufacturer());
    for (std::size_t n = 0;; ++n) {
        TestDevice box;
        station.allow(box.chip());
        box.cut_after(n);
        const auto failed = reason_of([&] { box.personalize(station, true); });
        box.kill();
        box.boot();
        ASSERT_THAT(on_the_way, ::testing::Contains(box.state())) << "after " << n;
        if (box.state() != State::operating)
            box.personalize(station, true);
        ASSERT_EQ(name(box.state()), name(State::operating)) << "after " << n;
        if (!failed)
            break;
    }
}

TEST_F(Crash, Attack08_KilledAfterEveryCommandOfALaterPersonalization)
{
    bring_up();
    box.device().enter_personalization({});
    at_every_command(
        killed(), [&] { box.personalize(station, true); }, on_the_way, [&] { back_to_personalization(); });
}

TEST_F(Crash, Attack08_AtEveryCommandThatTheTpmDidUnanswered)
{
    bring_up();
    box.device().enter_personalization({});
    at_every_command(
        unanswered(), [&] { box.personalize(station, true); }, on_the_way, [&] { back_to_personalization(); });
}

TEST_F(Crash, Attack07_AFailureAtEveryCommandIsNeverSuccess)
{
    bring_up();
    box.device().enter_personalization({});
    at_every_command(
        failing(TPM2_RC_FAILURE), [&] { box.personalize(station, true); }, on_the_way,
        [&] { back_to_personalization(); });
    EXPECT_GT(failures_[Reason::tpm_failed], 30);
    EXPECT_LT(failures_[std::nullopt], failures_[Reason::tpm_failed] / 2) << "what fails to be flushed does no harm";
}

TEST_F(Crash, Attack08_KilledAfterEveryCommandOfASwitch)
{
    box.personalize(station);
    at_every_command(
        killed(), [&] { box.device().enter_operating({}); }, on_the_way,
        [&] {
            finish_personalization();
            box.device().enter_personalization({});
            box.personalize(station);
        });
    box.device().enter_operating({});
    at_every_command(
        killed(), [&] { box.device().enter_personalization({}); }, {State::operating, State::personalization},
        [&] { finish_personalization(); });
}

TEST_F(Crash, Attack08_KilledAfterEveryCommandOfARecovery)
{
    bring_up();
    publish();
    box.lose_disk();
    box.boot();
    at_every_command(
        killed(), [&] { box.recover(archive.address()); }, {State::disk_lost, State::operating},
        [&] {
            if (box.state() == State::disk_lost)
                box.recover(archive.address());
            ASSERT_EQ(name(box.state()), name(State::operating));
            expect_keys_work();
            box.lose_disk();
            box.boot();
        });
}

TEST_F(Crash, Attack08_KilledAfterEveryCommandOfARecoveryFromTpmClear)
{
    bring_up();
    publish();
    box.tpm.clear();
    box.boot();
    at_every_command(
        killed(), [&] { box.recover(archive.address()); }, {State::tpm_cleared, State::recovered},
        [&] {
            if (box.state() == State::tpm_cleared)
                box.recover(archive.address());
            ASSERT_EQ(name(box.state()), name(State::recovered));
            expect_keys_work();
            std::filesystem::remove(box.file("recovered.pb")); // or it would pass for the next recovery's
            box.tpm.clear();
            box.boot();
        });
}

// What an earlier recovery has left is dead after the next TPM2_Clear, and must not pass for its result.
TEST_F(Crash, Attack08_ARecoveryCutShortIsNotTakenForAnEarlierOne)
{
    bring_up();
    publish();
    for (int clears = 0; clears < 2; ++clears) {
        box.tpm.clear();
        box.boot();
        if (clears == 0)
            box.recover(archive.address());
    }
    box.wire.before = [](std::size_t, std::uint32_t code) {
        return code == TPM2_CC_Import ? std::optional<TSS2_RC>(TSS2_TCTI_RC_IO_ERROR) : std::nullopt;
    };
    EXPECT_TRUE(reason_of([&] { box.recover(archive.address()); }));
    box.kill();
    box.boot();
    EXPECT_EQ(name(box.state()), name(State::tpm_cleared));
    box.recover(archive.address());
    EXPECT_EQ(name(box.state()), name(State::recovered));
}

// The security module's own tests have it before every command.
TEST_F(Crash, Attack13_ATpmResetBeforeEveryThirdCommand)
{
    bring_up();
    box.device().enter_personalization({});
    at_every_command(
        reset(), [&] { box.personalize(station, true); }, on_the_way, [&] { back_to_personalization(); }, 3);
    const int named = std::exchange(failures_[Reason::tpm_reset], 0);
    const int unharmed = std::exchange(failures_[std::nullopt], 0);
    EXPECT_GT(named, 5);
    EXPECT_GT(unharmed, 0);
    for (const auto& [reason, count] : failures_)
        EXPECT_EQ(count, 0) << name(*reason);
}

} // namespace
} // namespace imprint::test
