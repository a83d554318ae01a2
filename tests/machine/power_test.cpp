// SPDX-License-Identifier: Apache-2.0
// Attack08: the power fails in the middle of each long call. After the next start the device is in one of its whole
// states, what was acknowledged holds, and the job can be finished.
#include "tests/machine/fixture.h"
#include "tests/machine/power_cuts.h"

namespace imprint::test {
namespace {

const Job personalize{"imprintctl personalize", {"blank", "personalization", "operating"}, "operating"};
const Job enter_operating{"imprintctl enter-operating", {"personalization", "operating"}, "operating"};
const Job enter_personalization{
    "imprintctl enter-personalization", {"operating", "personalization"}, "personalization"};
const Job recover{"imprintctl recover", {"disk-lost", "operating"}, "operating"};

class Attack08_PowerCut : public OnAMachine {
protected:
    void finish(Machine& machine, const Job& job)
    {
        if (state(machine) != job.done) {
            ASSERT_NO_THROW(machine.must(job.script));
        }
        ASSERT_EQ(state(machine), job.done);
    }
    // Keys, certificates and record belong together and are of use.
    void expect_operating(Machine& machine, const std::string& identity)
    {
        EXPECT_EQ(property(machine, "DeviceIdentity"), "(ss) \"serial\" \"" + identity + "\"");
        EXPECT_NO_THROW(machine.must("echo reading >reading && imprintctl key sign telemetry reading --out signature"));
    }
    // The archive has what brings this device back, and nothing that does not prove itself.
    void expect_backed_up(Machine& machine)
    {
        factory.wait_for_outbox();
        EXPECT_EQ(ctl(machine, "recover --check"), "");
        const auto verified = factory.archive_command({"verify"});
        EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
    }

    std::mt19937 random = random_instants();
    PowerCuts power{device, [this] { return state(); }};
};

// A board that never had an identity gets one, and only one.
TEST_F(Attack08_PowerCut, InTheFirstPersonalization)
{
    device.start();
    power.measure(personalize);
    unsigned chip = 0;
    for (const double instant : {0.3, 0.9}) {
        ++chip;
        const double share = instant + std::uniform_real_distribution<>(-0.2, 0.1)(random);
        SCOPED_TRACE(share);
        Machine board(chip);
        equip(board);
        board.start();
        PowerCuts cuts(board, [&] { return state(board); });
        cuts.take_duration(power);
        cuts.cut(personalize, share);
        finish(board, personalize);
        expect_operating(board, "SN00000" + std::to_string(chip + 1));
        expect_backed_up(board);
    }
}

TEST_F(Attack08_PowerCut, InALaterPersonalization)
{
    device.start();
    ASSERT_EQ(ctl("personalize"), "");
    ASSERT_EQ(ctl("enter-personalization"), "");
    power.measure(personalize);
    for (const double share : cut_instants(5, random)) {
        SCOPED_TRACE(share);
        ASSERT_EQ(ctl("enter-personalization"), "");
        EXPECT_NE(power.cut(personalize, share), "blank");
        finish(device, personalize);
        expect_operating(device, "SN000001");
    }
    expect_backed_up(device);
}

// The window between the files' fsync and the counter's increment, and the one after it.
TEST_F(Attack08_PowerCut, InTheSwitches)
{
    device.start();
    PowerCuts back{device, [this] { return state(); }};
    ASSERT_EQ(ctl("personalize --no-switch"), "");
    power.measure(enter_operating);
    back.measure(enter_personalization);
    const auto instants = cut_instants(4, random);
    const auto instants_back = cut_instants(4, random);
    for (std::size_t i = 0; i < instants.size(); ++i) {
        SCOPED_TRACE(std::to_string(instants[i]) + ", " + std::to_string(instants_back[i]));
        ASSERT_EQ(ctl("personalize --no-switch"), "");
        power.cut(enter_operating, instants[i]);
        finish(device, enter_operating);
        expect_operating(device, "SN000001");
        back.cut(enter_personalization, instants_back[i]);
        finish(device, enter_personalization);
    }
    ASSERT_EQ(ctl("personalize"), "");
    expect_backed_up(device);
}

TEST_F(Attack08_PowerCut, B17_InARecovery)
{
    device.start();
    ASSERT_EQ(ctl("personalize"), "");
    factory.wait_for_outbox();
    const auto module = property("ModuleCertificate");
    lose_state(device);
    power.measure(recover);
    for (const double share : cut_instants(5, random)) {
        SCOPED_TRACE(share);
        lose_state(device);
        power.cut(recover, share);
        finish(device, recover);
        expect_operating(device, "SN000001");
        EXPECT_EQ(property("ModuleCertificate"), module);
    }
    expect_backed_up(device);
}

} // namespace
} // namespace imprint::test
