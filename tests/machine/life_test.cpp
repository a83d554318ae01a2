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

// A program of the TPM's group, which knows nothing of Imprint, signs with the key file while the daemon is at the TPM,
// too.
constexpr auto* use_key_file = R"sh(set -e
imprintctl key show web | sed -n '/BEGIN PUBLIC/,/END PUBLIC/p' >web.pub
echo reading >reading
TPM2OPENSSL_TCTI=device:/dev/tpmrm0 setpriv --reuid=nobody --regid=tss --clear-groups \
    openssl dgst -provider tpm2 -provider default -propquery '?provider=tpm2' \
    -sha256 -sign /var/lib/imprint/keys/web.pem <reading >signature
openssl dgst -sha256 -verify web.pub -signature signature reading
)sh";

TEST_F(Life, A22_A23_B1_B6_B9_B17_PersonalizedSwitchedUsedBackedUpLostAndRecovered)
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
    EXPECT_EQ(device.must(use_key_file), "Verified OK\n");
    factory.wait_for_outbox();
    EXPECT_EQ(ctl("recover --check"), "");

    const auto module = property("ModuleCertificate");
    lose_state(device);
    EXPECT_EQ(state(), "disk-lost");
    ASSERT_EQ(ctl("recover"), "");
    EXPECT_EQ(state(), "operating");
    EXPECT_EQ(property("ModuleCertificate"), module);
    EXPECT_EQ(device.must(sign), "Verified OK\n");
    EXPECT_EQ(device.must(use_key_file), "Verified OK\n");
    EXPECT_EQ(factory.archive_command({"verify"}).status, 0);
}

class Clocks : public OnAMachine {
protected:
    Clocks()
    {
        const auto keys = factory / "central-keys";
        EXPECT_EQ(factory.station_command({"central", "add", "--certificate", keys / "tls.pem"}).status, 0);
        factory.start_central();
    }
    // systemd knows when it was made and sets no earlier time; a device without it has what its clock says.
    void start(const std::string& time)
    {
        device.set_clock(time);
        device.start();
        device.must("date --utc --set=" + time);
    }
    void restart(const std::string& time, const std::string& expected)
    {
        SCOPED_TRACE(expected + " at " + time);
        const auto before = everything(device);
        device.shut_down();
        start(time);
        EXPECT_EQ(everything(device), before);
        EXPECT_EQ(state(), expected);
    }
    Finished connect()
    {
        return device.run("imprintctl connect --central " + Machine::seen_by_guest(factory.central_address()) +
                              " --alpn http/1.1",
                          "GET / HTTP/1.0\r\n\r\n");
    }
    void expect_connected()
    {
        const auto answer = connect();
        EXPECT_NE(answer.out.find("\"identity\": \"SN000001\""), std::string::npos) << answer.out << answer.err;
    }
    void expect_cannot_connect()
    {
        const auto answer = connect();
        EXPECT_NE(answer.status, 0);
        EXPECT_NE(answer.err.find("Check the clock"), std::string::npos) << answer.err;
    }

    // The first hours are not to be had: Linux sets no time before its start.
    const std::string past = "1970-01-01T12:00:00";
    const std::string future = "2040-01-01T00:00:00";
};

// Wherever the clock stands, a device knows what it is. Before all certificates it believes none that has to be of
// today, says so, and leaves everything as it was; its own keys, the switch and its record need no clock.
TEST_F(Clocks, Attack37_A23_B17_AReboot_LeavesEveryStateAsItWas_AtAnyTime)
{
    start(past);
    EXPECT_EQ(state(), "blank");
    EXPECT_EQ(reason("personalize"), "certificate-not-yet-valid");
    restart(future, "personalization"); // prepared for it, and no more
    ASSERT_EQ(ctl("personalize --no-switch"), "");
    restart(past, "personalization");
    ASSERT_EQ(ctl("enter-operating"), "") << "what was ready before is ready afterwards";
    expect_cannot_connect();
    factory.wait_for_outbox();
    lose_state(device);
    ASSERT_EQ(ctl("recover"), "");
    EXPECT_EQ(device.must("date --utc +%Y"), "1970\n");
    restart(future, "operating");
    expect_connected();
    device.must("tpm2_clear -c lockout && systemctl restart imprintd");
    ASSERT_EQ(ctl("recover"), "");
    restart(future, "recovered");
    ASSERT_EQ(ctl("personalize"), "");
    EXPECT_EQ(property("DeviceIdentity"), "(ss) \"serial\" \"SN000001\"");
    expect_connected();
}

} // namespace
} // namespace imprint::test
