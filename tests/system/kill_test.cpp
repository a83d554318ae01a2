// SPDX-License-Identifier: Apache-2.0
// SIGKILL of imprintd after every TPM command of its long calls: after a restart the device is in one of its whole
// states, and the same call again succeeds.
#include "tests/system/fixture.h"

#include <set>

namespace imprint::test {

namespace {

constexpr std::size_t more_than_any_call_takes = 200;

using Call = std::function<std::string()>;

// The commands that a start costs, so that `kill` can count those of the call alone.
std::size_t cost_of_start(DaemonProcess& device)
{
    const auto count = device.directory() / "count";
    std::filesystem::remove(count);
    device.set_tcti_options("count=" + count.string());
    device.start();
    device.kill();
    return read_count_file(count).commands;
}

// Runs the call in a daemon that is killed after the `nth` TPM command of the call, and starts another daemon.
// Whether the call got so far.
bool killed_at(DaemonProcess& device, std::size_t nth, const Call& call)
{
    device.set_tcti_options("kill=" + std::to_string(cost_of_start(device) + nth));
    device.start();
    const bool completed = call().empty();
    if (completed)
        device.kill();
    EXPECT_EQ(device.process().wait(), 137);
    device.set_tcti_options("");
    device.start();
    return !completed;
}

using Attack08_Killed = WholeSystem;

// Preparation of a blank TPM, activation, personalization, switch: each time a blank device and a factory that has
// never seen it.
TEST(Attack08_KilledWhileBlank, InItsFirstPersonalization)
{
    Factory factory;
    factory.remember();
    const std::set<std::string> whole{"s \"blank\"", "s \"personalization\"", "s \"operating\""};
    std::size_t kills = 0;
    for (bool killed = true; killed && kills < more_than_any_call_takes; kills += killed ? 1 : 0) {
        DaemonProcess device({.trust_bundle = factory.trust_bundle()});
        const auto personalize = [&] {
            const auto finished = device.imprintctl({"personalize", factory.station_address()});
            return finished.status == 0 ? std::string() : finished.out + finished.err;
        };
        killed = killed_at(device, kills + 1, personalize);
        const auto state = device.property("State");
        ASSERT_TRUE(whole.contains(state)) << state << " after command " << kills + 1;
        if (state != "s \"operating\"") {
            ASSERT_EQ(personalize(), "") << "after command " << kills + 1;
        }
        ASSERT_EQ(device.property("State"), "s \"operating\"");
        ASSERT_EQ(device.property("DeviceIdentity"), "(ss) \"serial\" \"SN000001\"") << "an identity was wasted";
        factory.forget();
    }
    EXPECT_GT(kills, 45U);
    EXPECT_LT(kills, 90U);
}

TEST_F(Attack08_Killed, InALaterPersonalizationAndItsSwitch)
{
    device.start();
    ASSERT_EQ(personalize(), "");
    const std::set<std::string> whole{"s \"personalization\"", "s \"operating\""};
    std::size_t kills = 0;
    for (bool killed = true; killed && kills < more_than_any_call_takes;) {
        ASSERT_EQ(enter_personalization(), "");
        device.kill();
        killed = killed_at(device, kills + 1, [this] { return personalize(); });
        kills += killed ? 1 : 0;
        ASSERT_TRUE(whole.contains(state())) << state() << " after kill " << kills;
        if (state() == "s \"personalization\"") {
            ASSERT_EQ(personalize(), "") << "after kill " << kills;
        }
        ASSERT_EQ(state(), "s \"operating\"");
    }
    EXPECT_GT(kills, 30U);
    EXPECT_LT(kills, 60U);
    factory.wait_for_outbox();
    EXPECT_EQ(failure(factory.archive_command({"verify"})), "");
}

TEST_F(Attack08_Killed, InARecovery)
{
    device.start();
    ASSERT_EQ(personalize(), "");
    factory.wait_for_outbox();
    const auto module = device.property("ModuleCertificate");
    std::size_t kills = 0;
    for (bool killed = true; killed && kills < more_than_any_call_takes;) {
        device.kill();
        device.wipe_disk();
        killed = killed_at(device, kills + 1, [this] { return recover(); });
        kills += killed ? 1 : 0;
        if (state() == "s \"disk-lost\"") {
            ASSERT_EQ(recover(), "") << "after kill " << kills;
        }
        ASSERT_EQ(state(), "s \"operating\"") << "after kill " << kills;
        ASSERT_EQ(device.property("ModuleCertificate"), module);
    }
    EXPECT_GT(kills, 15U);
    EXPECT_LT(kills, 40U);
}

TEST_F(Attack08_Killed, InTheSwitchesAlone)
{
    device.start();
    ASSERT_EQ(personalize(), "");
    device.kill();
    const std::set<std::string> whole{"s \"personalization\"", "s \"operating\""};
    for (std::size_t kills = 0; kills < more_than_any_call_takes; ++kills) {
        const bool killed = killed_at(device, kills + 1, [this] { return enter_personalization(); });
        ASSERT_TRUE(whole.contains(state())) << state();
        if (state() == "s \"operating\"") {
            ASSERT_EQ(enter_personalization(), "");
        }
        ASSERT_EQ(failure(device.imprintctl({"personalize", "--no-switch", factory.station_address()})), "");
        device.kill();
        const bool killed_again =
            killed_at(device, kills + 1, [this] { return failure(device.imprintctl({"enter-operating"})); });
        ASSERT_TRUE(whole.contains(state())) << state();
        if (state() == "s \"personalization\"") {
            ASSERT_EQ(failure(device.imprintctl({"enter-operating"})), "");
        }
        ASSERT_EQ(state(), "s \"operating\"");
        device.kill();
        if (!killed && !killed_again)
            return;
    }
    FAIL() << "the switches never ended";
}

} // namespace

} // namespace imprint::test
