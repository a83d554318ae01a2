// SPDX-License-Identifier: Apache-2.0
// After the Backup has gone out: one record an epoch, whatever becomes of the answer.
#include "daemon/lifecycle/store.h"
#include "tests/device/fixture.h"

#include <sys/socket.h>

namespace imprint::test {
namespace {

class Resume : public DeviceTest {
protected:
    void lose(int step, bool after)
    {
        station.set(after ? Mischief{.drop_after = step} : Mischief{.drop_before = step});
        EXPECT_EQ(reason_of([&] { box.personalize(station, true); }), Reason::connection_lost);
        EXPECT_EQ(name(box.state()), name(State::personalization));
        EXPECT_FALSE(box.device().status().ready_to_switch);
        EXPECT_EQ(reason_of([&] { box.device().enter_operating({}); }), Reason::wrong_state);
        station.set({});
    }
    std::string pending_record() const
    {
        return lifecycle::Store(box.directory()).load().personalizations.begin()->second.record();
    }
    protocol::Message message(std::size_t number) const
    {
        return protocol::parse(station.messages().at(number)).or_throw();
    }
};

TEST_F(Resume, ALostReceiptIsFetchedAgain)
{
    lose(receipt, false);
    const auto epoch = box.epoch();
    box.boot();
    box.personalize(station, true);
    EXPECT_EQ(name(box.state()), name(State::operating));
    EXPECT_EQ(box.epoch(), epoch + 1) << "the record that the station has is this epoch's";
    EXPECT_TRUE(message(4).has_resume());
    EXPECT_NO_THROW(box.sign(box.epoch(), as_bytes("with the key that was pending")));
}

TEST_F(Resume, ABackupThatNeverArrivedCostsTheEpoch)
{
    lose(backup, true);
    const auto epoch = box.epoch();
    box.personalize(station, true);
    EXPECT_EQ(name(box.state()), name(State::operating));
    EXPECT_EQ(box.epoch(), epoch + 3);
    EXPECT_FALSE(station.store().record(box.chip(), epoch + 1));
    EXPECT_TRUE(station.store().record(box.chip(), epoch + 3));
}

TEST_F(Resume, Attack46_AnAbandonedGrantIsRevoked)
{
    lose(backup, true);
    box.personalize(station, true);
    EXPECT_EQ(station.store().revoked().size(), 1U);
}

TEST_F(Resume, OverADescriptorItMovesOnAndAsksForAnother)
{
    lose(backup, true);
    const auto epoch = box.epoch();
    std::array<int, 2> ends{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    std::jthread thread([&] { station.serve(Fd(ends[1])); });
    EXPECT_EQ(reason_of([&] { box.device().personalize(Fd(ends[0]), true, {}, box.cancel); }), Reason::sequence_taken);
    EXPECT_EQ(name(box.state()), name(State::personalization));
    EXPECT_EQ(box.epoch(), epoch + 2);
}

TEST_F(Resume, ATakenSequenceIsLeftBehind)
{
    box.personalize(station, true);
    box.device().enter_personalization({});
    const auto epoch = box.epoch();
    bool first = true;
    station.set({.replace = [&](Bytes bytes) {
        return std::exchange(first, false)
            ? protocol::serialize(protocol::refused({Reason::sequence_taken, "in another line"}))
            : bytes;
    }});
    box.personalize(station, true);
    EXPECT_EQ(box.epoch(), epoch + 3);
    EXPECT_TRUE(std::ranges::is_sorted(box.progress, {}, &std::pair<unsigned, std::string>::first));
}

TEST_F(Resume, AStationThatClaimsItForEverIsGivenUp)
{
    station.set({.replace = [](const Bytes&) {
        return protocol::serialize(protocol::refused({Reason::sequence_taken, "always"}));
    }});
    EXPECT_EQ(reason_of([&] { box.personalize(station, true); }), Reason::sequence_taken);
    EXPECT_EQ(station.connections(), 3);
    EXPECT_EQ(name(box.state()), name(State::personalization));
}

TEST_F(Resume, AReceiptForAnythingElseIsRefused)
{
    box.personalize(station, true);
    const Bytes old = station.messages().at(5);
    box.device().enter_personalization({});
    station.set(
        {.replace = [&](Bytes bytes) { return protocol::parse(bytes).or_throw().has_receipt() ? old : bytes; }});
    EXPECT_EQ(reason_of([&] { box.personalize(station, true); }), Reason::record_invalid);
    EXPECT_FALSE(box.device().status().ready_to_switch);
    EXPECT_EQ(reason_of([&] { box.personalize(station, true); }), Reason::record_invalid) << "by Resume";
    EXPECT_FALSE(box.device().status().ready_to_switch);
    station.set({});
    box.personalize(station, true);
    EXPECT_EQ(name(box.state()), name(State::operating));
}

TEST_F(Resume, AReceiptThatOnlyTheDeviceHasSignedIsNone)
{
    station.set({.alter = [this](protocol::Message& message) {
        if (message.has_receipt())
            message.mutable_receipt()->set_record(pending_record());
    }});
    EXPECT_EQ(reason_of([&] { box.personalize(station, true); }), Reason::record_invalid);
    EXPECT_EQ(name(box.state()), name(State::personalization));
}

// The note in chip.pb: a crash between the two increments leaves an odd epoch that is no operating state.
TEST_F(Resume, Attack08_ACrashWhileMovingOnIsTakenUpAgain)
{
    for (std::size_t after = 0; after <= 4; ++after) {
        lose(backup, true);
        box.cut_after(after); // increments and readings take turns
        EXPECT_TRUE(reason_of([&] { box.personalize(station, true); })) << after;
        box.kill();
        box.boot();
        EXPECT_EQ(name(box.state()), name(State::personalization)) << after;
        box.personalize(station, true);
        EXPECT_EQ(name(box.state()), name(State::operating)) << after;
        box.device().enter_personalization({});
    }
}

} // namespace
} // namespace imprint::test
