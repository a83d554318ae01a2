// SPDX-License-Identifier: Apache-2.0
// Who may do what: root without polkit, others with the real polkit daemon or not at all.
#include "dbus/handles.h"
#include "tests/dbus/polkit.h"

#include <csignal>
#include <cstdlib>
#include <unistd.h>

namespace imprint::test {
namespace {

// A connection of another user's, for callers that gdbus is too slow for.
dbus::Bus connect_as(unsigned user, const std::string& address)
{
    setenv("DBUS_SYSTEM_BUS_ADDRESS", address.c_str(), 1);
    sd_bus* raw = nullptr;
    const bool changed = seteuid(user) == 0;
    const int opened = sd_bus_open_system(&raw);
    if (!changed || seteuid(0) != 0)
        throw std::runtime_error("cannot be another user");
    dbus::check(opened, "connect");
    return dbus::Bus(raw);
}

// The error's name, or empty.
std::string error_of_call(sd_bus* bus, const char* method)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    const int result = sd_bus_call_method(bus, dbus::service_name, dbus::object_path, dbus::interface_name, method,
                                          &error, nullptr, "");
    const std::string name = result < 0 && error.name != nullptr ? error.name : "";
    sd_bus_error_free(&error);
    return name;
}

// Sent, and nobody waits for the answer.
void send_call(sd_bus* bus, const char* method)
{
    dbus::check(sd_bus_call_method_async(bus, nullptr, dbus::service_name, dbus::object_path, dbus::interface_name,
                                         method, nullptr, nullptr, ""),
                "call");
    dbus::check(sd_bus_flush(bus), "send the call");
}

class Authorization : public OnTheBus {
protected:
    Authorization() { device.start(); }
};

TEST_F(Authorization, WithoutPolkitOthersMayLook)
{
    EXPECT_EQ(error_of(call("GetKey", {"telemetry"}, nobody)), "org.imprint.Error.WrongState") << "that is public";

    EXPECT_EQ(error_of(call("ExportBackup", {}, nobody)), "org.imprint.Error.WrongState") << "records are public";
    const auto get =
        device.run({"setpriv", "--reuid", std::to_string(nobody), "--clear-groups", "busctl", "--system",
                    "get-property", "org.imprint.Device1", "/org/imprint/Device1", "org.imprint.Device1", "State"});
    EXPECT_EQ(get.out, "s \"blank\"\n") << get.err;
}

TEST_F(Authorization, WithoutPolkitOthersCannotCancel)
{
    auto hanging = start_call("Personalize", {station.address(), no_options}, "hanging");
    const auto line = station.accept();
    EXPECT_EQ(error_of(call("Cancel", {}, nobody)), denied);
    EXPECT_TRUE(hanging.running());
}

// As a set-user-ID program would be: connected by an ordinary user, the process is root's when the daemon looks.
TEST_F(Authorization, Attack22_AProcessThatHasBecomeRootSinceIsStillWhoItWas)
{
    const auto bus = connect_as(nobody, device.bus().address());
    ASSERT_EQ(geteuid(), 0U);
    EXPECT_EQ(error_of_call(bus.get(), "EnterOperating"), denied);
    const auto roots = connect_as(0, device.bus().address());
    EXPECT_EQ(error_of_call(roots.get(), "EnterOperating"), "org.imprint.Error.WrongState");
}

class WithRules : public WithPolkit {
protected:
    WithRules()
        : WithPolkit(R"(polkit.addRule(function(action, subject) {
    if (action.id == "org.imprint.Device1.enter-operating" && subject.user == "nobody")
        return polkit.Result.YES;
    if (action.id == "org.imprint.Device1.use-key" && action.lookup("label") == "telemetry" &&
        subject.user == "nobody")
        return polkit.Result.YES;
});
)")
    {
    }
};

TEST_F(WithRules, ARuleAllowsWhatItNamesAndNothingElse)
{
    EXPECT_EQ(error_of(call("EnterOperating", {}, nobody)), "org.imprint.Error.WrongState") << "not let through";
    EXPECT_EQ(error_of(call("EnterPersonalization", {}, nobody)), denied);
    EXPECT_EQ(error_of(call("Personalize", {"unix:/nobody", no_options}, nobody)), denied);
    EXPECT_EQ(error_of(call("Recover", {"http://127.0.0.1:1", no_options}, nobody)), denied);
    EXPECT_EQ(error_of(call("Restore", {"[byte 1]", no_options}, nobody)), denied);
    EXPECT_EQ(error_of(call("CheckRecovery", {"http://127.0.0.1:1", no_options}, nobody)), denied);
    EXPECT_EQ(error_of(call("CheckRestore", {"[byte 1]", no_options}, nobody)), denied);
    EXPECT_EQ(error_of(call("UpdateCentral", {"[byte 1]"}, nobody)), denied);
    EXPECT_EQ(error_of(call("Cancel", {}, nobody)), denied);
    EXPECT_EQ(error_of(call("EnterOperating", {}, 1)), denied) << "another user";
}

TEST_F(WithRules, B5_B13_ARuleIsAPolicyForAKey)
{
    EXPECT_EQ(error_of(call("Hmac", {"telemetry", "[byte 1]"}, nobody)), "org.imprint.Error.WrongState")
        << "not let through";
    EXPECT_EQ(error_of(call("Hmac", {"channel", "[byte 1]"}, nobody)), denied) << "another key";
    EXPECT_EQ(error_of(call("OpenSecret", {"telemetry"}, nobody)), denied) << "another action";
    EXPECT_EQ(error_of(call("Hmac", {"telemetry", "[byte 1]"}, 1)), denied) << "another user";
}

// A process identifier would be another process's by the time that polkit looks (CVE-2013-4288); a unique name on the
// bus never is.
TEST_F(WithRules, Attack22_PolkitIsAskedAboutTheNameOnTheBus)
{
    PolkitMonitor monitor(device);
    EXPECT_EQ(error_of(call("EnterPersonalization", {}, nobody)), denied);
    ASSERT_TRUE(monitor.asked()) << "polkit is not asked";
    EXPECT_EQ(monitor.line_after("      string "), "\"system-bus-name\"");
    EXPECT_EQ(monitor.line_after("            string "), "\"name\"");
    const auto name = monitor.line_after("            variant").value_or("");
    EXPECT_NE(name.find("string \":1."), std::string::npos) << name;
}

// polkit, too: the process's identifier leads to root by now.
TEST_F(WithRules, Attack22_NorDoesPolkitTakeItForRoot)
{
    const auto bus = connect_as(nobody, device.bus().address());
    EXPECT_EQ(error_of_call(bus.get(), "EnterPersonalization"), denied);
    EXPECT_EQ(error_of_call(bus.get(), "EnterOperating"), "org.imprint.Error.WrongState") << "what nobody may do";
}

// The bus's own answer is that there is no such name: not a user, least of all user 0 (CVE-2021-3560).
TEST_F(WithRules, Attack23_ACallerThatIsGoneBeforeTheBusIsAskedGetsNothing)
{
    device.process().signal(SIGSTOP);
    for (const auto* method : {"EnterOperating", "EnterPersonalization"}) {
        const auto bus = connect_as(nobody, device.bus().address());
        send_call(bus.get(), method);
    }
    device.process().signal(SIGCONT);
    EXPECT_EQ(error_of(call("EnterPersonalization", {}, nobody)), denied) << "the daemon goes on";
    EXPECT_EQ(device.log().find(" began"), std::string::npos) << device.log();
}

// At every place that chance leads to: what is refused stays refused, whoever is left to be told.
TEST_F(WithRules, Attack23_CallersThatVanishAnywhereGetNothing)
{
    constexpr int callers = 100;
    for (int i = 0; i < callers; ++i) {
        const auto bus = connect_as(nobody, device.bus().address());
        send_call(bus.get(), "EnterPersonalization");
        for (int turns = 0; turns < i; ++turns) // from at once to some time after the verdict
            EXPECT_GE(sd_bus_call_method(bus.get(), "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                         "org.freedesktop.DBus.Peer", "Ping", nullptr, nullptr, ""),
                      0);
    }
    EXPECT_EQ(error_of(call("EnterPersonalization", {}, nobody)), denied) << "the daemon goes on";
    EXPECT_EQ(device.log().find(" began"), std::string::npos) << device.log();
    EXPECT_EQ(error_of(call("EnterOperating", {}, nobody)), "org.imprint.Error.WrongState");
    EXPECT_NE(device.log().find("EnterOperating began"), std::string::npos) << "the log would tell";
}

TEST_F(WithRules, Attack23_ACallerThatVanishesWhilePolkitIsAskedGetsNothing)
{
    // polkit is stopped in the middle, so that the caller is certainly gone before the verdict.
    polkit->signal(SIGSTOP);
    PolkitMonitor monitor(device);
    auto caller = start_call("EnterOperating", {}, "gone", {}, nobody);
    ASSERT_TRUE(monitor.asked()) << "polkit is not asked";
    caller.signal(SIGKILL);
    caller.wait();
    polkit->signal(SIGCONT);
    EXPECT_EQ(error_of(call("EnterPersonalization", {}, nobody)), denied) << "polkit goes on";
    EXPECT_EQ(device.log().find("EnterOperating"), std::string::npos) << device.log();
}

TEST_F(WithRules, AFloodOfCallersDoesNotKeepRootOut)
{
    polkit->signal(SIGSTOP);
    const auto bus = connect_as(nobody, device.bus().address());
    constexpr int as_many_as_are_asked = 64;
    for (int i = 0; i < as_many_as_are_asked; ++i)
        ASSERT_GE(sd_bus_call_method_async(bus.get(), nullptr, dbus::service_name, dbus::object_path,
                                           dbus::interface_name, "EnterOperating", nullptr, nullptr, ""),
                  0);
    EXPECT_EQ(error_of_call(bus.get(), "EnterOperating"), "org.imprint.Error.Busy");
    EXPECT_EQ(error_of(call("EnterOperating")), "org.imprint.Error.WrongState");
}

TEST_F(WithRules, ItsEndIsARefusal)
{
    polkit->signal(SIGKILL);
    polkit->wait();
    EXPECT_EQ(error_of(call("EnterOperating", {}, nobody)), denied);
    EXPECT_EQ(error_of(call("EnterOperating")), "org.imprint.Error.WrongState") << "root needs no polkit";
}

// The shipped bus policy on a bus that refuses by default, as the system bus does; root stands in for the daemon's
// user.
class BusPolicy : public OnTheBus {
protected:
    BusPolicy()
        : OnTheBus({.bus_policy = policies()})
    {
        device.start();
    }
    static std::string policies()
    {
        const std::string defaults = R"(  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
  </policy>
)";
        const auto shipped = run({"sed", "-n", "-e", "s/user=\"imprint\"/user=\"root\"/", "-e",
                                  "/<policy/,/<.policy>/p", IMPRINT_SOURCE "/units/org.imprint.Device1.conf"});
        return defaults + shipped.out;
    }
};

TEST_F(BusPolicy, EverybodyMayCall)
{
    EXPECT_EQ(error_of(call("EnterOperating")), "org.imprint.Error.WrongState");
    EXPECT_EQ(error_of(call("EnterOperating", {}, nobody)), denied) << "by the daemon, not by the bus";
    EXPECT_EQ(error_of(call("ExportBackup", {}, nobody)), "org.imprint.Error.WrongState");
    EXPECT_EQ(device.property("State"), "s \"blank\"");
}

TEST_F(BusPolicy, NobodyElseMayOwnTheName)
{
    device.stop();
    const auto bus = connect_as(nobody, device.bus().address());
    EXPECT_EQ(sd_bus_request_name(bus.get(), dbus::service_name, 0), -EACCES);
}

} // namespace
} // namespace imprint::test
