// SPDX-License-Identifier: Apache-2.0
// A device that refuses what a station does, and stays as it was.
#pragma once

#include "tests/device/fixture.h"

namespace imprint::test {

class Refusal : public DeviceTest {
protected:
    // The device is in its second personalization state, with dead files around: the richest state to disturb.
    Refusal()
    {
        box.personalize(station, true);
        box.device().enter_personalization({});
        before_ = box.files();
        epoch_ = box.epoch();
    }

    void expect_refused(const Mischief& mischief, std::optional<Reason> reason, const std::string& what)
    {
        station.set(mischief);
        EXPECT_EQ(reason_of([&] { box.personalize(station, true); }), reason) << what;
        expect_unchanged(what);
    }
    void expect_unchanged(const std::string& what)
    {
        EXPECT_EQ(name(box.state()), name(State::personalization)) << what;
        EXPECT_EQ(box.epoch(), epoch_) << what;
        EXPECT_EQ(box.files(), before_) << what;
        EXPECT_FALSE(box.device().status().ready_to_switch) << what;
    }
    void expect_honest_station_still_welcome()
    {
        station.set({});
        box.personalize(station, true);
        EXPECT_EQ(name(box.state()), name(State::operating));
    }

    std::map<std::string, Bytes> before_;
    std::uint64_t epoch_ = 0;
};

inline Mischief in_challenge(std::function<void(protocol::Challenge&)> change)
{
    return {.alter = [change](protocol::Message& message) {
        if (message.has_challenge())
            change(*message.mutable_challenge());
    }};
}

inline Mischief in_grant(std::function<void(protocol::Grant&)> change)
{
    return {.alter = [change](protocol::Message& message) {
        if (message.has_grant())
            change(*message.mutable_grant());
    }};
}

} // namespace imprint::test
