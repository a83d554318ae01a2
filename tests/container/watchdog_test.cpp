// SPDX-License-Identifier: Apache-2.0
#include "tests/container/appliance.h"

#include <gtest/gtest.h>

namespace imprint::test {
namespace {

// A daemon that hangs is noticed by systemd and started anew.
TEST(Watchdog, AStoppedDaemonIsReplaced)
{
    const Appliance appliance;
    appliance.drop_in("imprintd.service", "[Service]\nWatchdogSec=2s\nRestartSec=50ms\n");
    EXPECT_EQ(appliance.state(), "blank");
    const auto before = appliance.show("imprintd", "MainPID");
    appliance.must("systemctl kill --signal=STOP imprintd");
    appliance.wait_for_journal("imprintd", "imprintd.service: Watchdog timeout");
    appliance.wait_for_journal("imprintd", "imprintd.service: Scheduled restart job");
    EXPECT_EQ(appliance.state(), "blank");
    EXPECT_NE(appliance.show("imprintd", "MainPID"), before);
}

} // namespace
} // namespace imprint::test
