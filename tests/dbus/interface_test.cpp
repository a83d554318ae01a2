// SPDX-License-Identifier: Apache-2.0
// What the interface says of itself.
#include "tests/dbus/fixture.h"

namespace imprint::test {
namespace {

class Interface : public OnTheBus {
protected:
    Interface() { device.start(); }

    // The interface's element alone: the rest is libsystemd's.
    static Finished element(const std::filesystem::path& file)
    {
        return run({"xmllint", "--nonet", "--xpath", "/node/interface[@name='org.imprint.Device1']", file});
    }
};

TEST_F(Interface, CheckedInXmlEqualsIntrospection)
{
    const auto live = device.run(
        {"busctl", "--system", "introspect", "--xml-interface", "org.imprint.Device1", "/org/imprint/Device1"});
    ASSERT_EQ(live.status, 0) << live.err;
    write_file(files / "live.xml", as_bytes(live.out));
    const auto checked_in = element(IMPRINT_SOURCE "/dbus/org.imprint.Device1.xml");
    ASSERT_EQ(checked_in.status, 0) << checked_in.err;
    ASSERT_NE(checked_in.out.find("PersonalizeWithDescriptor"), std::string::npos);
    EXPECT_EQ(checked_in.out, element(files / "live.xml").out);
}

TEST_F(Interface, ABlankDeviceShowsItself)
{
    EXPECT_EQ(device.property("State"), "s \"blank\"");
    EXPECT_EQ(device.property("Epoch"), "t 0");
    EXPECT_EQ(device.property("Sequence"), "t 0");
    EXPECT_EQ(device.property("Keys"), "as 0");
    EXPECT_EQ(device.property("CentralSet"), "t 0");
    EXPECT_EQ(device.property("Busy"), "b false");
    EXPECT_EQ(device.property("ReadyToSwitch"), "b false");
    EXPECT_EQ(device.property("Progress"), "(us) 0 \"\"");
    EXPECT_EQ(device.property("DeviceIdentity"), "(ss) \"\" \"\"");
    EXPECT_EQ(device.property("ModuleCertificate"), "s \"\"");
    EXPECT_EQ(device.property("CertificateChain"), "s \"\"");
    EXPECT_EQ(device.property("Channels"), "u 0");
    EXPECT_EQ(device.property("IdentityCertificate"), "s \"\"");
    EXPECT_EQ(device.property("TpmVendor").substr(0, 6), "s \"IBM");
    EXPECT_EQ(device.property("ChipId").size(), std::string("s \"\"").size() + 64);
    EXPECT_EQ(device.property("Version"), "s \"" IMPRINT_VERSION "\"");
    EXPECT_NE(device.property("StateHint"), "s \"\"");
}

TEST_F(Interface, TheChipIdentifierIsTheDigestOfTheEndorsementKey)
{
    // With stock tools alone: the EK certificate of the preferred key, its public key, its digest.
    const auto digest = device.run(
        {"sh", "-c",
         "tpm2_nvread -T " + device.tpm().tools_tcti() +
             " 0x01c00002 | openssl x509 -inform DER -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum"});
    EXPECT_EQ(device.property("ChipId"), "s \"" + digest.out.substr(0, 64) + "\"") << digest.err;
}

TEST_F(Interface, ChangesAreSignalled)
{
    Process monitor({"gdbus", "monitor", "--system", "--dest", "org.imprint.Device1"}, device.bus().environment());
    ASSERT_TRUE(monitor.line_after("The name org.imprint.Device1 is owned by"));
    call("Personalize", {"unix:/nobody", no_options});
    const std::string signal = "/org/imprint/Device1: org.freedesktop.DBus.Properties.PropertiesChanged ";
    const auto begun = monitor.line_after(signal);
    ASSERT_TRUE(begun);
    EXPECT_NE(begun->find("'Busy': <true>"), std::string::npos) << *begun;
    for (;;) {
        const auto later = monitor.line_after(signal);
        ASSERT_TRUE(later);
        if (later->find("'Busy': <false>") != std::string::npos)
            break;
    }
}

} // namespace
} // namespace imprint::test
