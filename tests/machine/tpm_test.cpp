// SPDX-License-Identifier: Apache-2.0
// What happens to TPMs on real boards: a second one beside it, other programs that fill it, its owner who clears it,
// and a disk that moves to a board with another one.
#include "tests/machine/fixture.h"

#include "tests/support/manufacture.h"

namespace imprint::test {
namespace {

// TPM2_CreatePrimary of a storage key in the null hierarchy, with an empty password.
constexpr auto* make_object = "80020000004300000131"
                              "40000007"
                              "00000009"
                              "40000009"
                              "0000"
                              "00"
                              "0000"
                              "000400000000"
                              "001a"
                              "0023"
                              "000b"
                              "00030472"
                              "0000"
                              "0006"
                              "0080"
                              "0043"
                              "0010"
                              "0003"
                              "0010"
                              "0000"
                              "0000"
                              "0000"
                              "00000000";
// TPM2_StartAuthSession of an HMAC session, neither salted nor bound.
constexpr auto* start_session = "80010000002b00000176"
                                "40000007"
                                "40000007"
                                "0010"
                                "00000000000000000000000000000000"
                                "0000"
                                "00"
                                "0010"
                                "000b";

std::string octets(const char* digits) { return to_string(unhex(digits).value()); }

class OnTpm : public OnAMachine {
protected:
    void operate()
    {
        device.start();
        ASSERT_EQ(ctl("personalize"), "");
        ASSERT_EQ(state(), "operating");
        factory.wait_for_outbox();
    }
    // A second TPM, through the kernel's proxy: /dev/tpmrm1.
    void add_tpm(unsigned chip)
    {
        constexpr std::size_t limit = 1 << 16;
        device.must("mkdir -p /var/lib/tpm1 && cat >/var/lib/tpm1/tpm2-00.permall",
                    to_string(read_file(manufactured_state(chip), limit).value()));
        device.must("modprobe tpm_vtpm_proxy && systemd-run --unit=tpm1 swtpm chardev --tpm2 --vtpm-proxy --tpmstate "
                    "dir=/var/lib/tpm1 --seccomp action=none && udevadm wait --timeout=60 /dev/tpmrm1");
    }
    void configure(const std::string& file)
    {
        device.must("echo '[TPM]\nTCTI=device:" + file + "' >/etc/imprint/imprintd.conf.d/60-tpm.conf");
    }
    void sign()
    {
        EXPECT_NO_THROW(device.must("echo reading >reading && imprintctl key sign telemetry reading --out signature"));
    }
};

// Of two TPMs, also if its driver is loaded when imprintd runs already and has told that there is none.
TEST_F(OnTpm, TheConfiguredOneIsUsedAndTheOtherUntouched)
{
    device.start();
    const auto first = tpm_contents(device);
    const auto first_chip = property("ChipId");
    configure("/dev/tpmrm1");
    device.must("systemctl restart imprintd");
    EXPECT_EQ(state(), "tpm-unavailable");
    add_tpm(1);
    ASSERT_EQ(ctl("personalize"), "");
    EXPECT_EQ(state(), "operating");
    EXPECT_EQ(device.must("systemctl show imprintd -P NRestarts"), "0\n");
    EXPECT_NE(property("ChipId"), first_chip);
    sign();
    EXPECT_EQ(tpm_contents(device), first);
    EXPECT_NE(tpm_contents(device, "device:/dev/tpmrm1").find("180494D"), std::string::npos) << "our counter";

    // Past the resource manager the unit's device policy lets nothing, whatever the file's own permissions are.
    device.must("chmod 0666 /dev/tpm0");
    configure("/dev/tpm0");
    device.must("systemctl restart imprintd");
    EXPECT_EQ(state(), "tpm-unavailable");
    device.must("mkdir -p /etc/systemd/system/imprintd.service.d && echo '[Service]\nDeviceAllow=/dev/tpm0 rw' "
                ">/etc/systemd/system/imprintd.service.d/probe.conf && systemctl daemon-reload && "
                "systemctl restart imprintd");
    EXPECT_EQ(property("ChipId"), first_chip) << "nothing but the policy was in the way";
}

TEST_F(OnTpm, Attack32_AFullOneIsReportedByNameAndUsedAgainAfterwards)
{
    operate();
    device.must("cat >/root/object", octets(make_object));
    device.must("cat >/root/session", octets(start_session));

    // Past the resource manager, into the slots that it needs itself: nothing of the chip is left for anybody.
    const auto before = everything(device);
    for (const std::string command : {"object", "session"}) {
        SCOPED_TRACE(command);
        device.must("exec 3<>/dev/tpm0; for i in 1 2 3; do cat /root/" + command +
                    " >&3; dd bs=4096 count=1 <&3 >/root/answer; done 2>/dev/null; "
                    "test $(od -A n -t x1 -j 6 -N 4 /root/answer | tr -d ' ') = 00000000");
        EXPECT_EQ(reason("recover --check"), "tpm-full");
        EXPECT_EQ(state(), "operating");
        device.must("export TPM2TOOLS_TCTI=device:/dev/tpm0; tpm2_flushcontext -t; tpm2_flushcontext -l");
        EXPECT_EQ(everything(device), before);
        sign();
    }

    // Through it, as any program may: it gives each opening its own view of the chip, until the chip has no more.
    device.must("cat >/root/hold",
                "for i in $(seq $1); do\n"
                "exec {tpm}<>/dev/tpmrm0\n"
                "for command in object object object session session session; do cat /root/$command >&$tpm; dd "
                "bs=4096 count=1 <&$tpm; done >/dev/null 2>&1\n"
                "done\n"
                "systemd-notify --ready\nexec tail -f /dev/null\n");
    const auto hold = [&](int openings) {
        const auto count = std::to_string(openings);
        device.must("systemd-run --quiet --unit=holder" + count +
                    " -p Type=notify -p NotifyAccess=all bash /root/hold " + count);
    };
    hold(3);
    sign();
    ASSERT_EQ(ctl("enter-personalization"), "");
    ASSERT_EQ(ctl("personalize"), "");
    sign();
    hold(19); // three sessions each, of which a TPM has 64
    EXPECT_EQ(reason("recover --check"), "tpm-full");
    EXPECT_EQ(state(), "operating");
    device.must("systemctl stop 'holder*'");
    sign();
    EXPECT_EQ(ctl("enter-personalization"), "");
}

// Attack48: the TPM's own key for credentials is gone, the host's is not. The owner cleared the chip, and his
// authorization value went with the rest.
TEST_F(OnTpm, A23_B17_Attack38_Attack48_ClearedByItsOwnerReportedAndRecovered)
{
    device.start();
    device.must("mkdir -p /etc/credstore.encrypted && systemd-creds setup && "
                "printf secret | systemd-creds encrypt --with-key=host --name=owner-auth - "
                "/etc/credstore.encrypted/imprint.owner-auth && "
                "printf secret | systemd-creds encrypt --with-key=tpm2 --tpm2-pcrs=16 --name=bound - /etc/bound && "
                "echo '[Service]\nType=oneshot\nExecStart=true\nLoadCredentialEncrypted=bound:/etc/bound' "
                ">/etc/systemd/system/bound.service && systemctl daemon-reload && "
                "systemctl start bound && tpm2_changeauth -c owner secret && systemctl restart imprintd");
    ASSERT_EQ(ctl("personalize"), "") << "with the owner's authorization from the credential";
    factory.wait_for_outbox();

    device.must("tpm2_clear -c lockout");
    device.reboot();
    EXPECT_EQ(device.must("systemctl show imprintd -P ActiveState"), "active\n");
    EXPECT_EQ(state(), "tpm-cleared");
    EXPECT_NE(device.run("systemctl start bound").status, 0);
    EXPECT_EQ(device.must("systemctl show bound -P ExecMainStatus"), "243\n") << "a credential bound to the TPM";
    EXPECT_EQ(reason("recover"), "tpm-authorization") << "the owner's value is empty again";
    device.must("tpm2_changeauth -c owner secret");
    ASSERT_EQ(ctl("recover"), "");
    EXPECT_EQ(state(), "recovered");
    ASSERT_EQ(ctl("personalize"), "");
    EXPECT_EQ(property("DeviceIdentity"), "(ss) \"serial\" \"SN000001\"");
}

TEST_F(OnTpm, A23_Attack38_ADiskInABoardWithAnotherOneIsRefused)
{
    operate();
    const auto files = "cd /var/lib/imprint && sha256sum -- * | sort";
    const auto disk = device.must(files);
    const auto before = everything(device);
    device.shut_down();
    Machine other(1);
    other.exchange_disks(device);
    other.start();
    EXPECT_EQ(state(other), "tpm-replaced");
    const auto chip = tpm_contents(other);
    EXPECT_EQ(chip.find("180494D"), std::string::npos) << "a counter of ours in a foreign TPM: " << chip;
    for (const auto* call : {"personalize", "recover", "enter-personalization"})
        EXPECT_NE(reason(other, call), "") << call;
    EXPECT_EQ(tpm_contents(other), chip);
    EXPECT_EQ(other.must(files), disk);

    other.shut_down();
    other.exchange_disks(device);
    device.start();
    EXPECT_EQ(everything(device), before) << "back in its own board";
    sign();
}

} // namespace
} // namespace imprint::test
