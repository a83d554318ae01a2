// SPDX-License-Identifier: Apache-2.0
// The polkit actions as they are shipped, with the real polkitd, real sessions and real users.
#include "tests/container/appliance.h"
#include "tests/support/terminal.h"

#include <gtest/gtest.h>

#include <sstream>

namespace imprint::test {
namespace {

using namespace std::chrono_literals;

class Polkit : public testing::Test {
protected:
    // A login of the user at the device's only seat, which is the active one until somebody else logs in. Runs the
    // script once somebody writes a line into /run/go-<user>.
    Process log_in(const std::string& user, const std::string& script)
    {
        const auto go = "/run/go-" + user;
        appliance.must("mkfifo -m 666 " + go);
        auto session = appliance.container().start(
            in_session(user, {"--wait", "--pipe"}, "echo logged in; read go <" + go + "; " + script));
        EXPECT_TRUE(session.line_after("logged in", 60s));
        return session;
    }
    static Arguments in_session(const std::string& user, const Arguments& options, const std::string& script)
    {
        Arguments all{"systemd-run", "--quiet", "--uid=" + user, "-p", "PAMName=login", "-E", "XDG_SEAT=seat0"};
        all.insert(all.end(), options.begin(), options.end());
        all.insert(all.end(), {"sh", "-c", Container::unexpanded(script)});
        return all;
    }
    void go(const std::string& user) const { appliance.must("echo >/run/go-" + user); }

    // pkcheck of every action by the calling shell: "2222" for four actions that an administrator has to allow.
    const std::string check_all = "for action in $(pkaction | grep org.imprint); do "
                                  "pkcheck --action-id $action --process $$ >/dev/null 2>&1; echo -n $?; done; echo";
    void expect_that_a_typed_password_counts() const;
    void expect_that_the_examples_rules_give_what_they_say() const;
    std::size_t actions() const { return std::stoul(appliance.must("pkaction | grep -c org.imprint")); }

    const Appliance appliance{Appliance::Factory::running};
};

// carol, an administrator, calls twice at the active console, where polkit's own agent asks her.
void Polkit::expect_that_a_typed_password_counts() const
{
    appliance.must("useradd --create-home --groups sudo carol; echo carol:right | chpasswd; "
                   "sed -i 's/pam_unix.so nullok/& nodelay/' /etc/pam.d/common-auth; mkfifo -m 666 /run/agent");
    // The agent's shell becomes the caller: it asks for this one process.
    const std::string once = "sh -c 'pkttyagent --process $$ --notify-fd=3 3>/run/agent & cat /run/agent; "
                             "exec busctl --allow-interactive-authorization=yes call org.imprint.Device1 "
                             "/org/imprint/Device1 org.imprint.Device1 EnterPersonalization'; echo called; ";
    Terminal terminal(appliance.container().inside(in_session("carol", {"--pty"}, "tty; " + once + once + "read end")));
    terminal.wait_for("/dev/pts/");
    const auto number = terminal.wait_for("\r\n");
    const auto answer = [&](const std::string& password) {
        terminal.wait_for("Password: ");
        // What comes before the terminal stops to echo is thrown away.
        appliance.must("until stty -aF /dev/pts/" + number.substr(0, number.size() - 2) +
                       " | grep -q -e '-echo '; do :; done");
        terminal.type(password + "\n");
        return terminal.wait_for("called");
    };
    EXPECT_NE(answer("wrong").find("is not allowed"), std::string::npos);
    EXPECT_NE(answer("right").find("is not possible in the state blank"), std::string::npos);
}

void Polkit::expect_that_the_examples_rules_give_what_they_say() const
{
    appliance.must("groupadd imprint-technicians; usermod --append --groups imprint-technicians alice; "
                   "useradd telemetry; cp /usr/share/doc/imprintd/examples/50-imprint.rules /etc/polkit-1/rules.d");
    const auto may = [this](const std::string& user, const Arguments& call) {
        const auto failure = appliance.failure(call, user);
        EXPECT_NE(failure, "") << call.front() << " on a blank device";
        return failure.find("is not allowed") == std::string::npos;
    };
    const Arguments personalize{"Personalize", "sa{sv}", "127.0.0.1:1", "0"};
    EXPECT_TRUE(may("alice", personalize));
    EXPECT_TRUE(may("alice", {"Recover", "sa{sv}", "http://127.0.0.1:1", "0"}));
    EXPECT_FALSE(may("alice", {"EnterPersonalization"}));
    EXPECT_FALSE(may("alice", {"Hmac", "say", "telemetry", "1", "7"}));
    EXPECT_TRUE(may("telemetry", {"Hmac", "say", "telemetry", "1", "7"}));
    EXPECT_FALSE(may("telemetry", {"Hmac", "say", "manufacturer-channel", "1", "7"}));
    EXPECT_TRUE(may("telemetry", {"Connect", "sa{sv}", "", "0"}));
    EXPECT_FALSE(may("telemetry", personalize));
    EXPECT_FALSE(may("bob", personalize));
}

// As shipped: an administrator is asked at the active console, and nobody elsewhere. Then with the example's rules.
TEST_F(Polkit, TheDefaultsAndTheExamplesRulesGiveWhatTheySay)
{
    const std::string refused(actions(), '1');
    const std::string asked(actions(), '2');
    EXPECT_GE(actions(), 12U);
    EXPECT_EQ(appliance.container().run({"sh", "-c", check_all}, {}, "alice").out, refused + "\n") << "no session";
    auto active = log_in("alice", check_all);
    go("alice");
    EXPECT_EQ(active.line_after(""), asked);
    active.wait();

    appliance.must("rm /run/go-alice");
    auto inactive = log_in("alice", check_all);
    const auto at_the_console = log_in("bob", "");
    go("alice");
    EXPECT_EQ(inactive.line_after(""), refused);

    expect_that_a_typed_password_counts();
    expect_that_the_examples_rules_give_what_they_say();
}

TEST_F(Polkit, WithoutItOnlyRootChangesAnything)
{
    appliance.must("systemctl mask --now polkit");
    const auto refused = appliance.failure({"Personalize", "sa{sv}", Appliance::station, "0"}, "alice");
    EXPECT_NE(refused.find("polkit or the bus cannot tell"), std::string::npos) << refused;
    EXPECT_EQ(appliance.state(), "blank");
    EXPECT_EQ(appliance.personalize(), "");
    EXPECT_NE(appliance.failure({"EnterOperating"}, "alice"), "");
    EXPECT_EQ(appliance.state(), "personalization");
    EXPECT_EQ(appliance.enter_operating(), "");
    EXPECT_EQ(appliance.call({"ExportBackup"}, "alice").status, 0) << "records are public";
}

// polkit stops in the middle of its answer, and the caller is gone before the verdict, which would have been yes.
TEST_F(Polkit, Attack23_ACallerThatVanishesInTheMiddleGetsNothing)
{
    appliance.container().write("/etc/polkit-1/rules.d/50-test.rules",
                                "polkit.addRule(function(action, subject) { return polkit.Result.YES; });\n");
    ASSERT_EQ(appliance.personalize(), "");
    // The real thing stands still, also where it would have been started by this very question.
    appliance.must("busctl call org.freedesktop.PolicyKit1 /org/freedesktop/PolicyKit1/Authority "
                   "org.freedesktop.DBus.Peer Ping; systemctl kill --signal=STOP polkit");
    auto monitor = appliance.container().start(
        {"stdbuf", "-oL", "dbus-monitor", "--system", "type='method_call',member='CheckAuthorization'"});
    ASSERT_TRUE(monitor.line_after("signal"));
    appliance.must("systemd-run --quiet --uid=alice --unit=caller busctl call org.imprint.Device1 /org/imprint/Device1 "
                   "org.imprint.Device1 EnterOperating");
    ASSERT_TRUE(monitor.line_after("method call")) << "polkit is not asked";
    appliance.must("systemctl kill --signal=KILL caller; systemctl kill --signal=CONT polkit");
    // Asked after it, and answered: the question before has been answered, too.
    EXPECT_EQ(appliance.failure({"CheckRecovery", "sa{sv}", Appliance::archive, "0"}, "alice").find("allowed"),
              std::string::npos);
    EXPECT_EQ(appliance.state(), "personalization");
    EXPECT_EQ(appliance.failure({"EnterOperating"}, "alice"), "") << "polkit goes on";
}

} // namespace
} // namespace imprint::test
