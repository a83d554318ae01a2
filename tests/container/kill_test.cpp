// SPDX-License-Identifier: Apache-2.0
// The service dies or is restarted in the middle of each long call: systemd brings it back, the device is in a whole
// state, and the same call again succeeds.
#include "tests/container/appliance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <optional>
#include <set>

namespace imprint::test {
namespace {

// systemd's own pauses would only cost time; the files are where the daemon may write.
constexpr const char* count = "/run/imprint-test/count";
constexpr const char* trigger = "/run/imprint-test/now";
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
    // One for all: each test is a life of its own, whichever of its states the device begins in.
    static void SetUpTestSuite()
    {
        shared.emplace(Appliance::Factory::running);
        shared->drop_in("imprintd.service", quickly);
    }
    static void TearDownTestSuite() { shared.reset(); }
    void prepare(const LongCall& call) const
    {
        if (call.name == std::string("Recover")) {
            appliance.wait_for_outbox();
            appliance.must("systemctl stop imprintd; rm -rf /var/lib/imprint/*; systemctl start imprintd");
        }
    }
    void start_with(const std::string& tcti_options) const
    {
        appliance.set_tcti_options(tcti_options);
        appliance.must("systemctl restart imprintd");
    }
    // Once more TPM commands than so far have come to their end.
    void wait_for_a_command(const std::string& before) const
    {
        const auto lines = std::to_string(1 + std::ranges::count(before, '\n'));
        appliance.must("[ $(timeout 30 tail -n +1 -F " + std::string(count) + " | head -n " + lines +
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

    static std::optional<Appliance> shared;
    const Appliance& appliance = shared.value();
};

std::optional<Appliance> LongCalls::shared;

// With the third command of each call.
TEST_F(LongCalls, Attack08_KilledInTheMiddle)
{
    start_with("kill=3,trigger=" + std::string(trigger));
    for (const auto& call : life) {
        SCOPED_TRACE(call.name);
        prepare(call);
        appliance.must("touch " + std::string(trigger));
        EXPECT_NE(appliance.failure(call.call), "") << "not killed";
        expect_that_it_can_be_repeated(call);
    }
    EXPECT_EQ(appliance.state(), "personalization");
    EXPECT_EQ(appliance.must("journalctl --unit=imprintd | grep -c 'code=killed, status=9/KILL'"),
              std::to_string(std::size(life)) + "\n");
}

TEST_F(LongCalls, RestartedInTheMiddle)
{
    for (const auto& call : life) {
        SCOPED_TRACE(call.name);
        prepare(call);
        start_with("count=" + std::string(count) + ",latency=" + std::string(call.slow) + ":300000");
        appliance.set_tcti_options({}); // for the next start
        const auto before = appliance.container().read(count);
        auto running = std::async(std::launch::async, [&] { return appliance.failure(call.call); });
        wait_for_a_command(before);
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

} // namespace
} // namespace imprint::test
