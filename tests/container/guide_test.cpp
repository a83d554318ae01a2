// SPDX-License-Identifier: Apache-2.0
// The guide for the first device, daemon/first-device.md, typed in: board and desk are one machine.
#include "tests/container/reader.h"

#include "tests/support/manufacture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace imprint::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

TEST(Guide, B1_B17_ForTheFirstDeviceIsTrue)
{
    const Appliance appliance;
    appliance.container().write("/root/vendor-test.pem", to_string(manufactured_vendor_ca()));
    appliance.must("echo 127.0.0.1 desk.example >>/etc/hosts; systemctl start imprintd");
    Reader reader(appliance, IMPRINT_SOURCE "/daemon/first-device.md",
                  {{"CHIP-IDENTIFIER", appliance.property("ChipId").substr(3, 64)}});
    for (const auto* command : {"apt", "tpm2_getcap"})
        reader.type("1 Look at the TPM", command);
    EXPECT_THAT(reader.type("1 Look at the TPM", "tpm2_getekcertificate"), HasSubstr("Issuer: "));
    EXPECT_THAT(reader.type("2 Install"), HasSubstr("blank"));
    reader.type("3 Be the manufacturer");
    reader.type("4 Be the factory");
    reader.type("5 Personalize the board");
    EXPECT_EQ(appliance.state(), "operating");
    EXPECT_EQ(appliance.property("DeviceIdentity"), R"((ss) "serial" "SN000001")");
    EXPECT_THAT(reader.type_quoted("imprint-station audit"), HasSubstr("SN000001"));
    reader.type("6 Use it");
    const auto certificate = appliance.property("ModuleCertificate");
    reader.type("7 Lose the disk, and get it back");
    EXPECT_EQ(appliance.state(), "operating");
    EXPECT_EQ(appliance.property("ModuleCertificate"), certificate);
    reader.type_quoted("imprintctl enter-personalization");
    EXPECT_EQ(appliance.state(), "personalization");
    reader.type("8 Into the product");
    EXPECT_EQ(appliance.state(), "blank");
    EXPECT_THAT(reader.left(), ElementsAre(StartsWith("ls -l /dev/tpmrm0"))) << "there is none in a container";
}

} // namespace
} // namespace imprint::test
