// SPDX-License-Identifier: Apache-2.0
// The guide for the first device, daemon/first-device.md, typed in from the third step on: board and desk are one
// machine.
#include "tests/container/reader.h"

#include "tests/support/manufacture.h"

#include <gtest/gtest.h>

namespace imprint::test {
namespace {

TEST(Guide, B1_B17_ForTheFirstDeviceIsTrue)
{
    const Appliance appliance;
    appliance.container().write("/root/vendor-test.pem", to_string(manufactured_vendor_ca()));
    appliance.must("echo 127.0.0.1 desk.example >>/etc/hosts; systemctl start imprintd");
    Reader reader(appliance, IMPRINT_SOURCE "/daemon/first-device.md",
                  {{"CHIP-IDENTIFIER", appliance.property("ChipId").substr(3, 64)}});
    reader.type("3 Be the manufacturer");
    reader.type("4 Be the factory");
    reader.type("5 Personalize the board");
    EXPECT_EQ(appliance.state(), "operating");
    EXPECT_EQ(appliance.property("DeviceIdentity"), R"((ss) "serial" "SN000001")");
    reader.type("6 Use it");
    const auto certificate = appliance.property("ModuleCertificate");
    reader.type("7 Lose the disk, and get it back");
    EXPECT_EQ(appliance.state(), "operating");
    EXPECT_EQ(appliance.property("ModuleCertificate"), certificate);
    reader.type("8 Into the product");
    EXPECT_EQ(appliance.state(), "blank");
}

} // namespace
} // namespace imprint::test
