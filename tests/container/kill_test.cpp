// SPDX-License-Identifier: Apache-2.0
// The service dies or is restarted in the middle of each long call: systemd brings it back, the device is in a whole
// state, and the same call again succeeds.
#include "tests/container/appliance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <set>

namespace imprint::test {
namespace {

// systemd's own pauses would only cost time; the count file is where the daemon may write.
constexpr const char* quickly = R"([Unit]
StartLimitIntervalSec=0
[Service]
RestartSec=50ms
RuntimeDirectory=imprint-test
RuntimeDirectoryPreserve=yes
)";

struct LongCall {
    const char* name;
    Arguments call;
    std::set<std::string> whole; // the states that a device may be in after it was cut short
    const char* slow; // a TPM command in its middle
};

// A device's life: each call begins where the one before ended.
const LongCall life[] = {
    {"Personalize", {"Personalize", "sa{sv}", Appliance::station, "0"}, {"blank", "personalization"}, "14a"},
    {"EnterOperating", {"EnterOperating"}, {"personalization", "operating"}, "134"}, // TPM2_NV_Increment
    {"Connect", {"Connect", "sa{sv}", "", "0"}, {"operating"}, "15d"}, // TPM2_Sign
    {"Recover", {"Recover", "sa{sv}", Appliance::archive, "0"}, {"disk-lost", "operating"}, "156"}, // TPM2_Import
    {"EnterPersonalization", {"EnterPersonalization"}, {"operating", "personalization"}, "134"},
};

class LongCalls : public testing::Test {
protected:
    LongCalls() { appliance.drop_in("imprintd.service", quickly); }
    void prepare(const LongCall& call) const
    {
        if (call.name == std::string("Recover")) {
            appliance.wait_for_outbox();
            appliance.must("systemctl stop imprintd; rm -rf /var/lib/imprint/*");
        }
    }
    void start_with(const std::string& tcti_options) const
    {
        appliance.must("rm -f /run/imprint-test/count");
        appliance.set_tcti_options(tcti_options);
        appliance.must("systemctl restart imprintd");
        appliance.set_tcti_options({}); // for those that systemd starts
    }
    // TPM commands of a start in this state.
    std::size_t cost_of_start() const
    {
        start_with("count=/run/imprint-test/count");
        const auto count = appliance.container().read("/run/imprint-test/count");
        return static_cast<std::size_t>(std::ranges::count(count, '\n'));
    }
    void wait_for_commands(std::size_t number) const
    {
        const auto lines = std::to_string(number);
        appliance.must("[ $(timeout 30 tail -n +1 -F /run/imprint-test/count | head -n " + lines +
                       " | wc -l) = " + lines + " ]");
    }
    void expect_that_it_can_be_repeated(const LongCall& call) const
    {
        EXPECT_TRUE(call.whole.contains(appliance.state())) << appliance.state();
        const std::string name = call.name;
        const auto over = [&](const std::string& state) { return appliance.state() == state; };
        const bool done = (name == "EnterOperating" && over("operating")) || (name == "Recover" && over("operating")) ||
            (name == "EnterPersonalization" && over("personalization"));
        if (!done) {
            EXPECT_EQ(appliance.failure(call.call), "");
        }
    }

    const Appliance appliance{Appliance::Factory::running};
};

TEST_F(LongCalls, Attack08_KilledInTheMiddle)
{
    constexpr std::size_t into_the_call = 3; // commands
    for (const auto& call : life) {
        SCOPED_TRACE(call.name);
        prepare(call);
        start_with("kill=" + std::to_string(cost_of_start() + into_the_call));
        EXPECT_NE(appliance.failure(call.call), "") << "not killed";
        expect_that_it_can_be_repeated(call);
    }
    EXPECT_EQ(appliance.state(), "personalization");
    EXPECT_NE(appliance.journal("imprintd").find("code=killed, status=9/KILL"), std::string::npos);
}

TEST_F(LongCalls, RestartedInTheMiddle)
{
    for (const auto& call : life) {
        SCOPED_TRACE(call.name);
        prepare(call);
        const auto commands = cost_of_start();
        start_with("count=/run/imprint-test/count,latency=" + std::string(call.slow) + ":500000");
        auto running = std::async(std::launch::async, [&] { return appliance.failure(call.call); });
        wait_for_commands(commands + 1);
        appliance.must("systemctl restart imprintd");
        // A command that was under way is waited for, and what it did counts.
        const auto failure = running.get();
        EXPECT_TRUE(failure.empty() || failure.find("ancel") != std::string::npos ||
                    failure.find("imprintd is stopping") != std::string::npos)
            << failure;
        expect_that_it_can_be_repeated(call);
    }
    EXPECT_EQ(appliance.state(), "personalization");
}

// A daemon that hangs is noticed by systemd and started anew.
TEST(Watchdog, AStoppedDaemonIsReplaced)
{
    const Appliance appliance;
    appliance.drop_in("imprintd.service", std::string(quickly) + "WatchdogSec=2s\n");
    EXPECT_EQ(appliance.state(), "blank");
    const auto before = appliance.show("imprintd", "MainPID");
    appliance.must("kill -STOP " + before);
    appliance.wait_for_journal("imprintd", "imprintd.service: Watchdog timeout");
    appliance.wait_for_journal("imprintd", "imprintd.service: Scheduled restart job");
    EXPECT_EQ(appliance.state(), "blank");
    EXPECT_NE(appliance.show("imprintd", "MainPID"), before);
}

} // namespace
} // namespace imprint::test
