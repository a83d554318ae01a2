// SPDX-License-Identifier: Apache-2.0
// A mobile unit's whole day, with real programs: a device in the field, then home to the main station, and from there
// to the archive, where the device finds its keys again.
#include "daemon/pki/issue.h"
#include "tests/support/daemon_process.h"
#include "tests/system/mobile.h"

#include <gtest/gtest.h>

namespace imprint::test {

namespace {

class Journey : public testing::Test {
protected:
    Journey()
    {
        device.start();
        const auto done = device.imprintctl({"personalize", "--proxy-command", laptop.serve_stdio()});
        EXPECT_EQ(done.status, 0) << done.err;
    }
    void expect_recoverable()
    {
        device.kill();
        device.wipe_disk();
        device.start();
        EXPECT_EQ(device.property("State"), "s \"disk-lost\"");
        const auto recovered = device.imprintctl({"recover", factory.archive_address()});
        EXPECT_EQ(recovered.status, 0) << recovered.err;
        EXPECT_EQ(device.property("State"), "s \"operating\"");
        EXPECT_EQ(device.property("DeviceIdentity"), "(ss) \"serial\" \"LT000001\"");
    }

    Factory factory;
    Mobile laptop{factory};
    DaemonProcess device{{.trust_bundle = factory.trust_bundle()}};
};

TEST_F(Journey, A33_HomeToTheMainStationAndOnToTheArchive)
{
    const auto synchronized = laptop.sync({"--to", factory.operations_address()});
    EXPECT_EQ(synchronized.status, 0) << synchronized.out << synchronized.err;
    factory.wait_for_outbox();
    expect_recoverable();
    const auto again = laptop.sync({"--to", factory.operations_address()});
    EXPECT_EQ(again.status, 0) << again.err;
    EXPECT_NE(again.out.find("0 records, 0 used introductions, 0 replacements and 0 audit entries"), std::string::npos)
        << again.out;
    // The main station knows the device.
    ASSERT_EQ(device.imprintctl({"enter-personalization"}).status, 0);
    const auto next = device.imprintctl({"personalize", factory.station_address()});
    EXPECT_EQ(next.status, 0) << next.err;
    EXPECT_EQ(device.property("DeviceIdentity"), "(ss) \"serial\" \"LT000001\"");
}

TEST_F(Journey, A33_B18_B26_AtHomeItIsProvenReplacedAndRevoked)
{
    const auto chip = device.property("ChipId").substr(3, 64);
    ASSERT_EQ(laptop.sync({"--to", factory.operations_address()}).status, 0);
    const std::string keys = factory / "station-keys";
    const auto proven = factory.station_command({"record", "proof", "--directory", keys, chip});
    EXPECT_EQ(proven.status, 0) << proven.err;
    const auto replaced = factory.station_command(
        {"chip", "replace", "--reason", "broken board", "--directory", keys, chip, std::string(64, 'b')});
    ASSERT_EQ(replaced.status, 0) << replaced.err;
    const auto told = laptop.sync({"--to", factory.operations_address()});
    EXPECT_EQ(told.status, 0) << told.out << told.err;
    EXPECT_NE(told.out.find("1 grants were revoked here"), std::string::npos) << told.out;
    const auto lists = pki::crls_from_pem(to_bytes(factory.station_command({"crl"}).out));
    ASSERT_EQ(lists.size(), 2U) << "the station's and the laptop's";
    EXPECT_TRUE(pki::revoked_by(lists[0]).empty());
    EXPECT_EQ(pki::revoked_by(lists[1]).size(), 1U);
    EXPECT_EQ(laptop.sync({"--to", factory.operations_address()}).out.find("were revoked"), std::string::npos);
}

TEST_F(Journey, A33_StraightToTheArchive)
{
    const auto waiting = laptop.sync({"--archive", factory.archive_tls_address(), "--dry-run"});
    EXPECT_EQ(waiting.status, 3) << waiting.err;
    const auto delivered = laptop.sync({"--archive", factory.archive_tls_address()});
    EXPECT_EQ(delivered.status, 0) << delivered.out << delivered.err;
    EXPECT_EQ(laptop.sync({"--archive", factory.archive_tls_address()}).status, 0);
    expect_recoverable();
    factory.archive().signal(SIGKILL);
    EXPECT_EQ(laptop.sync({"--archive", factory.archive_tls_address()}).status, 0) << "nothing waits";
}

// A number that the laptop gave out and a device used: the main station knows it as used, by that device.
TEST(JourneyWithANumber, A33_A38_WhatWasUsedInTheFieldIsUsedAtHome)
{
    Factory factory;
    Mobile laptop(factory);
    DaemonProcess device({.trust_bundle = factory.trust_bundle()});
    device.start();
    const auto command = laptop.serve_stdio({"--require-introduction", "always"});
    const auto without = device.imprintctl({"personalize", "--proxy-command", command});
    EXPECT_NE(without.err.find("(transaction-number-required)"), std::string::npos) << without.err;
    constexpr std::size_t size_of_number = 23; // what follows in the line is its end
    const auto number = laptop.command({"tan", "issue"}).out.substr(0, size_of_number);
    const auto done =
        device.imprintctl({"personalize", "--proxy-command", command, "--transaction-number-file", "-"}, number);
    EXPECT_EQ(done.status, 0) << done.err;

    const auto synchronized = laptop.sync({"--to", factory.operations_address()});
    EXPECT_EQ(synchronized.status, 0) << synchronized.err;
    EXPECT_NE(synchronized.out.find("1 records, 1 used introductions"), std::string::npos) << synchronized.out;
    const auto listed = factory.station_command({"tan", "list", "--json"}).out;
    EXPECT_NE(listed.find("\"used\""), std::string::npos) << listed;
    EXPECT_NE(listed.find(device.property("ChipId").substr(3, 64)), std::string::npos) << listed;
}

} // namespace

} // namespace imprint::test
