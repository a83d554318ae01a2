// SPDX-License-Identifier: Apache-2.0
// Which of polkit's actions each method needs, and what the rules that we ship as examples allow.
#include "tests/dbus/polkit.h"

#include <algorithm>
#include <array>
#include <sstream>
#include <sys/socket.h>
#include <unistd.h>

namespace imprint::test {
namespace {

constexpr unsigned daemon_user = 1; // Debian's user "daemon"

// A socket under this number is what a caller hands over.
constexpr int link_number = 100;

struct Method {
    const char* name;
    Arguments arguments;
    const char* action;
};

const std::string bytes = "[byte 1]";
const std::array methods{
    Method{"Personalize", {"unix:/nobody", no_options}, "personalize"},
    Method{"PersonalizeWithDescriptor", {"handle " + std::to_string(link_number), no_options}, "personalize"},
    Method{"EnterOperating", {}, "enter-operating"},
    Method{"EnterPersonalization", {}, "enter-personalization"},
    Method{"Recover", {"http://127.0.0.1:1", no_options}, "recover"},
    Method{"Restore", {bytes, no_options}, "restore"},
    Method{"CheckRecovery", {"http://127.0.0.1:1", no_options}, "check-recovery"},
    Method{"CheckRestore", {bytes, no_options}, "check-recovery"},
    Method{"UpdateCentral", {bytes}, "update-central"},
    Method{"AdoptRoot", {}, "adopt-root"},
    Method{"Cancel", {}, "cancel"},
    Method{"Connect", {"unix:/nobody", no_options}, "connect"},
    Method{"ConnectTo", {"unix:/nobody", "/nobody", no_options}, "connect"},
    Method{"Sign", {"telemetry", "", bytes}, "use-key"},
    Method{"Hmac", {"telemetry", bytes}, "use-key"},
    Method{"Derive", {"telemetry", bytes, "32"}, "use-key"},
    Method{"Agree", {"telemetry", bytes}, "use-key"},
    Method{"Decrypt", {"telemetry", bytes}, "use-key"},
    Method{"OpenSecret", {"telemetry"}, "open-secret"},
};
constexpr std::array open_to_all{"ExportBackup", "GetKey"};

TEST(Actions, EveryMethodHasOneOrIsOpenToAll)
{
    std::istringstream names(
        run({"sed", "-n", "s/^  <method name=\"\\(.*\\)\">/\\1/p", IMPRINT_SOURCE "/dbus/org.imprint.Device1.xml"})
            .out);
    std::size_t count = 0;
    for (std::string name; std::getline(names, name); ++count)
        EXPECT_TRUE(std::ranges::count(methods, name, &Method::name) + std::ranges::count(open_to_all, name) == 1)
            << name;
    EXPECT_EQ(count, methods.size() + open_to_all.size());
}

template <class Bus>
class Calling : public Bus {
protected:
    using Bus::Bus;
    // The error's name, or empty.
    std::string outcome(const Method& method, unsigned user)
    {
        std::array<int, 2> ends{};
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0 || dup2(ends[0], link_number) < 0)
            throw_errno("make a link");
        const Fd ours(ends[0]), theirs(ends[1]), handed(link_number);
        const std::string log = method.name + std::to_string(user);
        auto calling = this->start_call(method.name, method.arguments, log, {link_number}, user);
        shutdown(ours.get(), SHUT_RDWR);
        return this->end_of(calling, log);
    }
};

class WithoutPolkit : public Calling<OnTheBus> {
protected:
    WithoutPolkit() { device.start(); }
};

TEST_F(WithoutPolkit, RootAloneMayChangeAnything)
{
    for (const auto& method : methods)
        EXPECT_EQ(outcome(method, nobody), denied) << method.name;
    EXPECT_EQ(device.property("State"), "s \"blank\"") << "something was begun";
    for (const auto& method : methods)
        EXPECT_NE(outcome(method, 0), denied) << method.name;
}

class OneUserAllowed : public Calling<WithPolkit> {
protected:
    OneUserAllowed()
        : Calling(R"(polkit.addRule(function(action, subject) {
    if (action.id.indexOf("org.imprint.Device1.") == 0 && subject.user == "nobody")
        return polkit.Result.YES;
});
)")
    {
    }
};

TEST_F(OneUserAllowed, EveryMethodAsksForItsActionAndObeys)
{
    PolkitMonitor monitor(device);
    for (const auto& method : methods) {
        EXPECT_NE(outcome(method, nobody), denied) << method.name;
        EXPECT_EQ(monitor.action(), method.action) << method.name;
        EXPECT_EQ(outcome(method, daemon_user), denied) << method.name;
        EXPECT_EQ(monitor.action(), method.action) << method.name;
    }
}

// With nobody as the technician and daemon as the application, as these exist everywhere.
class Examples : public WithPolkit {
protected:
    Examples()
        : WithPolkit(
              run({"sed", "-e", "s/imprint-technicians/nogroup/", "-e", "s/user != .telemetry./user != \"daemon\"/",
                   IMPRINT_SOURCE "/units/examples/50-imprint.rules"})
                  .out)
    {
    }
    bool may(unsigned user, const char* method, const Arguments& arguments = {}) const
    {
        return error_of(call(method, arguments, user)) != denied;
    }
};

TEST_F(Examples, LetTechniciansPersonalizeAndRecover)
{
    EXPECT_TRUE(may(nobody, "Personalize", {"unix:/nobody", no_options}));
    EXPECT_TRUE(may(nobody, "Recover", {"http://127.0.0.1:1", no_options}));
    EXPECT_TRUE(may(nobody, "CheckRecovery", {"http://127.0.0.1:1", no_options}));
    EXPECT_TRUE(may(nobody, "Cancel"));
    EXPECT_FALSE(may(nobody, "EnterPersonalization"));
    EXPECT_FALSE(may(nobody, "Hmac", {"telemetry", bytes}));
    EXPECT_FALSE(may(daemon_user, "Personalize", {"unix:/nobody", no_options}));
}

TEST_F(Examples, LetAnApplicationUseItsKeyAndConnect)
{
    EXPECT_TRUE(may(daemon_user, "Hmac", {"telemetry", bytes}));
    EXPECT_TRUE(may(daemon_user, "Connect", {"unix:/nobody", no_options}));
    EXPECT_FALSE(may(daemon_user, "Hmac", {"channel", bytes}));
    EXPECT_FALSE(may(daemon_user, "OpenSecret", {"telemetry"}));
    EXPECT_FALSE(may(daemon_user, "EnterPersonalization"));
}

} // namespace
} // namespace imprint::test
