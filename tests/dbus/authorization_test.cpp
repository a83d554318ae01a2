// SPDX-License-Identifier: Apache-2.0
// Who may do what: root without polkit, others with the real polkit daemon or not at all.
#include "tests/dbus/fixture.h"

#include <csignal>

namespace imprint::test {
namespace {

const std::string denied = "org.imprint.Error.NotAuthorized";

class Authorization : public OnTheBus {
protected:
    Authorization() { device.start(); }
};

TEST_F(Authorization, WithoutPolkitOthersMayOnlyLook)
{
    EXPECT_EQ(error_of(call("Personalize", {"unix:/nobody", no_options}, nobody)), denied);
    EXPECT_EQ(error_of(call("EnterOperating", {}, nobody)), denied);
    EXPECT_EQ(error_of(call("EnterPersonalization", {}, nobody)), denied);
    EXPECT_EQ(error_of(call("Recover", {"http://127.0.0.1:1"}, nobody)), denied);
    EXPECT_EQ(error_of(call("Restore", {"[byte 1]"}, nobody)), denied);
    EXPECT_EQ(error_of(call("Cancel", {}, nobody)), denied);
    EXPECT_EQ(device.property("State"), "s \"blank\"") << "something was begun";

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

// The real polkitd on the test's bus, with our actions and a rule of the test's. It gets a file system view of its own,
// in which these stand where it looks for them.
class WithPolkit : public OnTheBus {
protected:
    WithPolkit()
    {
        const auto actions = files / "actions";
        const auto rules = files / "rules";
        for (const auto& directory : {files.path(), actions, rules}) {
            std::filesystem::create_directories(directory);
            std::filesystem::permissions(directory, std::filesystem::perms(0755));
        }
        // The owner annotation names a user that exists only where Imprint is installed, and root needs none.
        const auto policy =
            device.run({"sh", "-c",
                        "grep -v policykit.owner " IMPRINT_SOURCE "/units/org.imprint.Device1.policy > " +
                            (actions / "org.imprint.Device1.policy").string()});
        write_file(rules / "50-test.rules", as_bytes(R"(polkit.addRule(function(action, subject) {
    if (action.id == "org.imprint.Device1.enter-operating" && subject.user == "nobody")
        return polkit.Result.YES;
});
)"),
                   0644);
        std::filesystem::permissions(actions / "org.imprint.Device1.policy", std::filesystem::perms(0644));
        polkit.emplace(Arguments{"unshare", "--mount", "sh", "-ec",
                                 "mount --bind " + actions.string() + " /usr/share/polkit-1/actions; mount --bind " +
                                     rules.string() +
                                     " /etc/polkit-1/rules.d; exec /usr/lib/polkit-1/polkitd --no-debug"},
                       device.bus().environment(), device.directory() / "polkit.log");
        const auto owned = device.run({"gdbus", "wait", "--system", "--timeout", "30", "org.freedesktop.PolicyKit1"});
        if (owned.status != 0)
            throw std::runtime_error("polkitd does not start: " + owned.err);
        device.start();
    }
    std::optional<Process> polkit;
};

TEST_F(WithPolkit, ARuleAllowsWhatItNamesAndNothingElse)
{
    EXPECT_EQ(error_of(call("EnterOperating", {}, nobody)), "org.imprint.Error.WrongState") << "not let through";
    EXPECT_EQ(error_of(call("EnterPersonalization", {}, nobody)), denied);
    EXPECT_EQ(error_of(call("Personalize", {"unix:/nobody", no_options}, nobody)), denied);
    EXPECT_EQ(error_of(call("Recover", {"http://127.0.0.1:1"}, nobody)), denied);
    EXPECT_EQ(error_of(call("Restore", {"[byte 1]"}, nobody)), denied);
    EXPECT_EQ(error_of(call("Cancel", {}, nobody)), denied);
    EXPECT_EQ(error_of(call("EnterOperating", {}, 1)), denied) << "another user";
}

TEST_F(WithPolkit, Attack23_ACallerThatVanishesWhilePolkitIsAskedGetsNothing)
{
    // polkit is stopped in the middle, so that the caller is certainly gone before the verdict.
    polkit->signal(SIGSTOP);
    Process monitor(
        {"dbus-monitor", "--address", device.bus().address(), "type='method_call',member='CheckAuthorization'"});
    ASSERT_TRUE(monitor.line_after("signal"));
    auto caller = start_call("EnterOperating", {}, "gone", {}, nobody);
    ASSERT_TRUE(monitor.line_after("method call")) << "polkit is not asked";
    caller.signal(SIGKILL);
    caller.wait();
    polkit->signal(SIGCONT);
    EXPECT_EQ(error_of(call("EnterPersonalization", {}, nobody)), denied) << "polkit goes on";
    EXPECT_EQ(device.log().find("EnterOperating"), std::string::npos) << device.log();
}

TEST_F(WithPolkit, ItsEndIsARefusal)
{
    polkit->signal(SIGKILL);
    polkit->wait();
    EXPECT_EQ(error_of(call("EnterOperating", {}, nobody)), denied);
    EXPECT_EQ(error_of(call("EnterOperating")), "org.imprint.Error.WrongState") << "root needs no polkit";
}

} // namespace
} // namespace imprint::test
