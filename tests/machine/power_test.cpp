// SPDX-License-Identifier: Apache-2.0
// Attack08: the power fails in the middle of each long call, at those of its TPM's commands that leave something behind
// or that others wait for. After the next start the device is in one of its whole states, what was acknowledged holds,
// and the job can be finished, or cut again further on: one board goes through all of it.
#include "tests/machine/fixture.h"
#include "tests/machine/power_cuts.h"

#include <tss2/tss2_tpm2_types.h>

namespace imprint::test {
namespace {

const Job personalize{"imprintctl personalize", "operating"};
const Job enter_operating{"imprintctl enter-operating", "operating"};
const Job enter_personalization{"imprintctl enter-personalization", "personalization"};
const Job recover{"imprintctl recover", "operating"};

Place before(TPM2_CC command, unsigned nth = 1) { return {command, nth, Place::Side::before}; }
Place after(TPM2_CC command, unsigned nth = 1) { return {command, nth, Place::Side::after}; }

// The files of the next epoch are durable, and the switch is not made; or it is, and nobody was told.
const Place before_switch = before(TPM2_CC_NV_Increment);
const Place after_switch = after(TPM2_CC_NV_Increment);

class Attack08_PowerCut : public OnAMachine {
protected:
    // Keys, certificates and record belong together and are of use.
    void expect_operating()
    {
        EXPECT_EQ(property("DeviceIdentity"), "(ss) \"serial\" \"SN000001\"");
        EXPECT_NO_THROW(device.must("echo reading >reading && imprintctl key sign telemetry reading --out signature"));
        EXPECT_EQ(device.must("ls /var/lib/imprint/keys"), "web.pem\n");
    }
    // The archive has what brings this device back, and nothing that does not prove itself.
    void expect_backed_up()
    {
        factory.wait_for_outbox();
        EXPECT_EQ(ctl("recover --check"), "");
        const auto verified = factory.archive_command({"verify"});
        EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
    }

    PowerCuts power{device, [this] { return state(); }};
};

// A board that never had an identity gets one, and only one.
TEST_F(Attack08_PowerCut, InTheFirstPersonalizationAndTheSwitches)
{
    device.start();
    power.cut(personalize, after(TPM2_CC_EvictControl), "blank");
    power.cut(personalize, after(TPM2_CC_NV_DefineSpace), "blank");
    power.cut(personalize, after(TPM2_CC_NV_Increment), "blank");
    power.cut(personalize, after(TPM2_CC_NV_DefineSpace), "blank"); // of the anchor's index now
    power.cut(personalize, after(TPM2_CC_NV_Write), "blank");
    ASSERT_EQ(ctl("personalize --no-switch"), "");
    power.cut(enter_operating, before_switch, "personalization");
    power.cut(enter_operating, after_switch, "operating");
    expect_operating();
    power.cut(enter_personalization, before_switch, "operating");
    power.cut(enter_personalization, after_switch, "personalization");
    ASSERT_EQ(ctl("personalize"), "");
    expect_operating();
    expect_backed_up();
}

TEST_F(Attack08_PowerCut, B17_InALaterPersonalizationAndTheRecovery)
{
    device.start();
    ASSERT_EQ(ctl("personalize"), "");
    ASSERT_EQ(ctl("enter-personalization"), "");
    power.cut(personalize, after(TPM2_CC_Create), "personalization");
    power.cut(personalize, before(TPM2_CC_Sign), "personalization");
    power.cut(personalize, after(TPM2_CC_Certify, 3), "personalization");
    power.cut(personalize, before_switch, "personalization");
    power.cut(personalize, after_switch, "operating");
    expect_operating();
    ASSERT_EQ(ctl("enter-personalization"), "");
    power.cut_when_done(personalize);
    expect_operating();
    expect_backed_up();

    const auto module = property("ModuleCertificate");
    lose_state(device);
    power.cut(recover, after(TPM2_CC_Import), "disk-lost");
    power.cut(recover, after(TPM2_CC_Unseal), "disk-lost");
    power.cut(recover, before(TPM2_CC_Load, 4), "disk-lost");
    power.cut_when_done(recover);
    expect_operating();
    EXPECT_EQ(property("ModuleCertificate"), module);
    expect_backed_up();
}

} // namespace
} // namespace imprint::test
