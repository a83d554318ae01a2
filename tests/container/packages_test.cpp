// SPDX-License-Identifier: Apache-2.0
// The packages in the middle of a device's life: upgrade, removal, purge, installation anew.
#include "tests/container/appliance.h"
#include "tests/support/built_packages.h"

#include <gtest/gtest.h>

namespace imprint::test {
namespace {

class Packages : public testing::Test {
protected:
    Packages()
    {
        for (const auto& package : built_packages())
            appliance.container().write("/root/old/" + package.filename().string(),
                                        to_string(read_file(package, 1 << 26).value()));
        appliance.make_operating();
        module = appliance.property("ModuleCertificate");
    }
    // The same packages under a higher version, in /root/<suffix>. What is in them is not packed anew, which would take
    // long.
    void make_newer(const std::string& suffix) const
    {
        const TemporaryDirectory directory;
        const auto made = run({"sh", "-euc", R"(
cd "$1"
mkdir $3
for package in $2/old/*.deb; do
    mkdir tree
    dpkg-deb --control $package tree
    sed -i "s/^Version: .*/&$3/; s/(= 0[^)]*/&$3/" tree/control
    tar -C tree -cf control.tar .
    ar x $package
    ar qcS $3/${package##*/} debian-binary control.tar data.tar.*
    rm -r tree *.tar*
done
cp -r $3 "$2")",
                               "sh", directory.path().string(), (appliance.container() / "/root").string(), suffix});
        ASSERT_EQ(made.status, 0) << made.out << made.err;
    }
    void install(const std::string& what) const { appliance.must("dpkg --install /root/" + what + " >/dev/null 2>&1"); }
    void expect_that_it_operates() const
    {
        EXPECT_EQ(appliance.state(), "operating");
        EXPECT_EQ(appliance.property("ModuleCertificate"), module);
        EXPECT_EQ(appliance.failure({"Hmac", "say", "manufacturer-channel", "1", "7"}), "");
        EXPECT_EQ(appliance.failure({"Connect", "sa{sv}", "", "0"}), "");
    }

    void upgrade() const;
    void upgrade_in_the_middle_of_a_call() const;
    void remove_and_install_again() const;
    void purge_and_install_again() const;

    const Appliance appliance{Appliance::Factory::running};
    std::string module; // its certificate
};

void Packages::upgrade() const
{
    const auto process = [this](const char* unit) { return appliance.show(unit, "MainPID"); };
    const auto device = process("imprintd");
    const auto station = process("imprint-station");
    make_newer("+1");
    install("+1/*.deb");
    EXPECT_NE(appliance.must("dpkg-query --show --showformat='${Version}' imprintd").find("+1"), std::string::npos);
    EXPECT_NE(process("imprintd"), device) << "still the old program";
    EXPECT_NE(process("imprint-station"), station) << "still the old program";
    expect_that_it_operates();
    ASSERT_EQ(appliance.failure({"EnterPersonalization"}), "");
    EXPECT_EQ(appliance.personalize(), "") << "the factory goes on as well";
    EXPECT_EQ(appliance.property("DeviceIdentity"), "(ss) \"serial\" \"SN000001\"");
    EXPECT_EQ(appliance.enter_operating(), "");
}

void Packages::upgrade_in_the_middle_of_a_call() const
{
    ASSERT_EQ(appliance.failure({"EnterPersonalization"}), "");
    appliance.set_tcti_options("latency=14a:1000000"); // TPM2_CertifyCreation
    appliance.must("systemctl restart imprintd");
    appliance.set_tcti_options({});
    make_newer("+2");
    appliance.must("systemd-run --quiet --unit=caller busctl --timeout=60 call org.imprint.Device1 "
                   "/org/imprint/Device1 org.imprint.Device1 Personalize 'sa{sv}' 127.0.0.1:7443 0");
    appliance.wait_for_property("Busy", "b true");
    install("+2/imprintd_*.deb");
    EXPECT_EQ(appliance.state(), "personalization");
    EXPECT_EQ(appliance.personalize(), "");
    EXPECT_EQ(appliance.enter_operating(), "");
    appliance.wait_for_outbox();
}

void Packages::remove_and_install_again() const
{
    appliance.must("dpkg --remove imprintd >/dev/null 2>&1");
    EXPECT_NE(appliance.container().run({"systemctl", "is-active", "imprintd"}).status, 0);
    EXPECT_NE(appliance.call({"ExportBackup"}).status, 0) << "it is still on the bus";
    EXPECT_EQ(appliance.container().run({"sh", "-c", "ls /var/lib/imprint/*.pb"}).status, 0) << "the state is lost";
    install("old/imprintd_*.deb");
    expect_that_it_operates();
}

void Packages::purge_and_install_again() const
{
    appliance.must("cp -r /etc/imprint /root/configuration; dpkg --purge imprintd >/dev/null 2>&1");
    EXPECT_NE(appliance.container().run({"test", "-e", "/var/lib/imprint"}).status, 0);
    appliance.must("rm -rf /etc/imprint; cp -r /root/configuration /etc/imprint");
    install("old/imprintd_*.deb");
    EXPECT_EQ(appliance.state(), "disk-lost") << "what is in the TPM stays";
    ASSERT_EQ(appliance.failure({"Recover", "sa{sv}", Appliance::archive, "0"}), "");
    expect_that_it_operates();
}

// Upgraded, also in the middle of a call; removed, then purged, and installed again.
TEST_F(Packages, Attack35_TheyComeAndGoInTheMiddleOfALife)
{
    upgrade();
    upgrade_in_the_middle_of_a_call();
    module = appliance.property("ModuleCertificate");
    remove_and_install_again();
    purge_and_install_again();
}

} // namespace
} // namespace imprint::test
