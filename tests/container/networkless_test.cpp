// SPDX-License-Identifier: Apache-2.0
// imprintd without a network: the drop-in of the package's examples, and callers that hand over their connections.
#include "tests/container/appliance.h"

#include <gtest/gtest.h>

namespace imprint::test {
namespace {

TEST(NetworkLess, A33_ADeviceIsPersonalizedByAHandedOverDescriptor)
{
    const Appliance appliance{Appliance::Factory::running};
    appliance.drop_in("imprintd.service",
                      appliance.container().read("/usr/share/doc/imprintd/examples/network-less.conf"));
    appliance.must("systemctl restart imprintd");
    EXPECT_NE(appliance.personalize(), "") << "it has a network";
    EXPECT_EQ(appliance.state(), "personalization") << "its TPM is prepared, and that is all";

    appliance.must("imprintctl personalize --proxy-command 'imprint-station --config "
                   "/etc/imprint-station/station.conf serve --stdio --directory /root/station' 2>&1");
    EXPECT_EQ(appliance.state(), "operating");
    appliance.wait_for_outbox();

    const auto module = appliance.property("ModuleCertificate");
    appliance.must("imprintctl export-backup /root/record; systemctl stop imprintd; rm -rf /var/lib/imprint/*; "
                   "imprintctl recover /root/record 2>&1");
    EXPECT_EQ(appliance.state(), "operating");
    EXPECT_EQ(appliance.property("ModuleCertificate"), module);
}

} // namespace
} // namespace imprint::test
