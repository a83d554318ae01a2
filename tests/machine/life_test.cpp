// SPDX-License-Identifier: Apache-2.0
// The life of a device from its package on a Debian kernel: the hardened unit on the kernel's /dev/tpmrm0.
#include "tests/machine/fixture.h"

namespace imprint::test {
namespace {

using Life = OnAMachine;

// The unit as the package installs it: it starts at boot, and of all devices it has /dev/tpmrm0.
void expect_hardened(Machine& machine)
{
    EXPECT_EQ(machine.must("systemctl show imprintd -P DevicePolicy -P DeviceAllow -P User -P ActiveState"),
              "closed\n/dev/tpmrm0 rw\nchar-rtc r\nchar-tpm rw\nimprint\nactive\n"); // two of them systemd's
    EXPECT_EQ(machine.must("stat -c '%U:%G %a' /dev/tpmrm0"), "tss:tss 660\n");
    EXPECT_EQ(machine.must("readlink /proc/$(systemctl show imprintd -P MainPID)/fd/* | grep -c /dev/tpmrm0"), "1\n");
}

TEST_F(Life, A22_A23_B1_B9_B17_PersonalizedSwitchedUsedBackedUpLostAndRecovered)
{
    device.start();
    expect_hardened(device);
    EXPECT_EQ(state(), "blank");
    ASSERT_EQ(ctl("personalize"), "");
    EXPECT_EQ(state(), "operating");
    EXPECT_EQ(property("DeviceIdentity"), "(ss) \"serial\" \"SN000001\"");

    const auto sign = "echo reading >reading && imprintctl key sign telemetry reading --out signature && "
                      "imprintctl key show telemetry | sed -n '/BEGIN PUBLIC/,/END PUBLIC/p' >key.pem && "
                      "openssl dgst -sha256 -verify key.pem -signature signature reading";
    EXPECT_EQ(device.must(sign), "Verified OK\n");
    factory.wait_for_outbox();
    EXPECT_EQ(ctl("recover --check"), "");

    const auto module = property("ModuleCertificate");
    lose_state(device);
    EXPECT_EQ(state(), "disk-lost");
    ASSERT_EQ(ctl("recover"), "");
    EXPECT_EQ(state(), "operating");
    EXPECT_EQ(property("ModuleCertificate"), module);
    EXPECT_EQ(device.must(sign), "Verified OK\n");
    EXPECT_EQ(factory.archive_command({"verify"}).status, 0);
}

TEST_F(Life, A23_B17_AReboot_LeavesEveryStateAsItWas)
{
    const auto reboot = [&](const std::string& expected) {
        SCOPED_TRACE(expected);
        const auto before = everything(device);
        device.reboot();
        EXPECT_EQ(everything(device), before);
        EXPECT_EQ(state(), expected);
    };
    device.start();
    reboot("blank");
    ASSERT_EQ(ctl("personalize --no-switch"), "");
    reboot("personalization");
    ASSERT_EQ(ctl("enter-operating"), "") << "what was ready before is ready afterwards";
    reboot("operating");
    factory.wait_for_outbox();
    device.must("tpm2_clear -c lockout && systemctl restart imprintd");
    ASSERT_EQ(ctl("recover"), "");
    reboot("recovered");
    ASSERT_EQ(ctl("personalize"), "");
    EXPECT_EQ(property("DeviceIdentity"), "(ss) \"serial\" \"SN000001\"");
}

} // namespace
} // namespace imprint::test
