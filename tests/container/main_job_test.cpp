// SPDX-License-Identifier: Apache-2.0
// The main job as it is done on an appliance: the packages' units, the system bus, busctl and nothing else.
#include "tests/container/appliance.h"

#include <gtest/gtest.h>

namespace imprint::test {
namespace {

const std::string denied = "is not allowed";

// Alice may everything, by a rule of the administrator's; bob is just a user.
constexpr const char* rule = R"(polkit.addRule(function(action, subject) {
    if (action.id.indexOf("org.imprint.Device1.") == 0 && subject.user == "alice")
        return polkit.Result.YES;
});
)";

class MainJob : public testing::Test {
protected:
    MainJob() { appliance.container().write("/etc/polkit-1/rules.d/50-test.rules", rule); }
    std::string as_alice(const Arguments& call) const { return appliance.failure(call, "alice"); }
    void expect_that_the_interface_is_what_is_written_down() const
    {
        const auto live = appliance.must("busctl introspect --xml-interface org.imprint.Device1 /org/imprint/Device1");
        const auto written = to_string(read_file(IMPRINT_SOURCE "/dbus/org.imprint.Device1.xml", 1 << 20).value());
        const auto interface = written.find(" <interface");
        EXPECT_NE(live.find(written.substr(interface, written.find(" </interface>") - interface)), std::string::npos)
            << live;
        const auto listed =
            appliance.must("busctl introspect org.imprint.Device1 /org/imprint/Device1 org.imprint.Device1");
        EXPECT_NE(listed.find(".Personalize"), std::string::npos) << listed;
    }

    const Appliance appliance{Appliance::Factory::running, Appliance::Tcti::swtpm};
};

TEST_F(MainJob, A22_B1_B17_OverBusctlAsAnAllowedUser)
{
    EXPECT_EQ(appliance.show("imprintd", "ActiveState"), "inactive");
    EXPECT_EQ(appliance.state(), "blank") << "the first call starts the daemon";
    EXPECT_EQ(appliance.show("imprintd", "ActiveState"), "active");
    expect_that_the_interface_is_what_is_written_down();

    ASSERT_EQ(as_alice({"Personalize", "sa{sv}", Appliance::station, "0"}), "");
    EXPECT_EQ(appliance.state(), "personalization");
    EXPECT_EQ(appliance.property("ReadyToSwitch"), "b true");
    ASSERT_EQ(as_alice({"EnterOperating"}), "");
    EXPECT_EQ(appliance.state(), "operating");
    EXPECT_EQ(appliance.property("DeviceIdentity"), "(ss) \"serial\" \"SN000001\"");
    appliance.wait_for_outbox();

    EXPECT_EQ(as_alice({"CheckRecovery", "sa{sv}", Appliance::archive, "0"}), "");
    EXPECT_EQ(as_alice({"Connect", "sa{sv}", "", "0"}), "");
    EXPECT_EQ(as_alice({"Hmac", "say", "manufacturer-channel", "1", "7"}), "");

    const auto module = appliance.property("ModuleCertificate");
    appliance.must("systemctl stop imprintd; rm -rf /var/lib/imprint/*");
    EXPECT_EQ(appliance.state(), "disk-lost");
    ASSERT_EQ(as_alice({"Recover", "sa{sv}", Appliance::archive, "0"}), "");
    EXPECT_EQ(appliance.state(), "operating");
    EXPECT_EQ(appliance.property("ModuleCertificate"), module);
    ASSERT_EQ(as_alice({"EnterPersonalization"}), "");
    EXPECT_EQ(appliance.state(), "personalization");
}

TEST_F(MainJob, EveryStepIsRefusedToAnotherUser)
{
    const auto refused = [this](const Arguments& call) {
        EXPECT_NE(appliance.failure(call, "bob").find(denied), std::string::npos) << call.front();
    };
    refused({"Personalize", "sa{sv}", Appliance::station, "0"});
    EXPECT_EQ(appliance.state(), "blank");
    ASSERT_EQ(appliance.personalize(), "");
    refused({"EnterOperating"});
    EXPECT_EQ(appliance.state(), "personalization");
    ASSERT_EQ(appliance.enter_operating(), "");
    refused({"EnterPersonalization"});
    refused({"CheckRecovery", "sa{sv}", Appliance::archive, "0"});
    refused({"Recover", "sa{sv}", Appliance::archive, "0"});
    refused({"Connect", "sa{sv}", "", "0"});
    refused({"Hmac", "say", "manufacturer-channel", "1", "7"});
    refused({"OpenSecret", "s", "manufacturer-channel"});
    refused({"AdoptRoot"});
    refused({"Cancel"});
    EXPECT_EQ(appliance.state(), "operating");
    EXPECT_EQ(appliance.failure({"GetKey", "s", "manufacturer-channel"}, "bob"), "") << "that is public";
    EXPECT_EQ(appliance.failure({"ExportBackup"}, "bob"), "") << "that is public";
}

} // namespace
} // namespace imprint::test
