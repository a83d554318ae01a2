// SPDX-License-Identifier: Apache-2.0
// The archive's word on whether a certificate is the newest one.
#include "provisioning/central/newest_record.h"
#include "tests/archive/running_archive.h"
#include "tests/central/running_central.h"
#include "tests/central/test_backend.h"

#include <gtest/gtest.h>

#include <thread>

namespace imprint::central {
namespace {

using test::refusal_of;
using test::SoftwareModule;

class Newest : public testing::Test {
protected:
    Newest()
    {
        // The central trusts the archive's manufacturer as well as its own.
        write_file(central.directory / "trust.pem",
                   pki::to_pem({central.pki.root.certificate, archive.pki.root.certificate,
                                archive.pki.identity_ca.certificate}));
    }
    void start(const test::Arguments& more = {})
    {
        test::Arguments arguments{"--archive", "http://" + archive.http};
        arguments.insert(arguments.end(), more.begin(), more.end());
        central.start(arguments);
    }
    void put(std::uint64_t sequence) { ASSERT_EQ(archive.put(device, sequence, device.record(sequence)).status, 201U); }
    bool let_in(const SoftwareModule& module) { return refusal_of(central.address, module.settings()).empty(); }

    test::RunningArchive archive;
    test::RunningCentral central;
    test::SoftwareDevice device{archive.pki, "SN-1"};
    SoftwareModule of_3{archive.pki, "SN-1", 3}, of_5{archive.pki, "SN-1", 5};
};

TEST_F(Newest, Attack45_ADeviceThatTheArchiveKnowsToBePersonalizedAgainIsRefused)
{
    archive.start();
    put(3);
    put(5);
    start();
    EXPECT_FALSE(let_in(of_3));
    EXPECT_TRUE(central.logged("reason=certificate-outdated"));
    EXPECT_TRUE(let_in(of_5));
    central.kill();
    central.start(); // without an archive: what was proven once is remembered
    EXPECT_FALSE(let_in(of_3));
    EXPECT_TRUE(let_in(of_5));
}

TEST_F(Newest, ARecordThatIsNotThereYetIsNoObstacle)
{
    archive.start();
    start({"--archive-required"});
    EXPECT_TRUE(let_in(of_3));
    put(3);
    EXPECT_TRUE(let_in(of_5)) << "its record may be on the way";
}

TEST_F(Newest, AnArchiveThatIsDownRefusesOnlyWhereThatIsDemanded)
{
    archive.start();
    start();
    central.stop();
    archive.kill();
    start();
    EXPECT_TRUE(let_in(of_3));
    EXPECT_TRUE(central.logged("the archive could not tell"));
    central.kill();
    start({"--archive-required"});
    EXPECT_FALSE(let_in(of_3));
}

// Answers two requests, HEAD and GET, as if it had a record that nobody signed.
TEST_F(Newest, Attack45_AnArchiveThatLiesLocksNobodyOutForGood)
{
    test::TestBackend liar;
    archive.http = liar.address();
    start();
    std::thread lying([&] {
        for (const std::string body : {"", "nothing that is signed"}) {
            auto connection = liar.accept();
            std::string request;
            while (request.find("\r\n\r\n") == std::string::npos)
                request += connection.read_some();
            connection.write("HTTP/1.1 200 OK\r\nContent-Location: /v1/records/" + of_3.chip +
                             "/99\r\nContent-Length: " + std::to_string(std::max<std::size_t>(body.size(), 1)) +
                             "\r\n\r\n" + body);
        }
    });
    EXPECT_TRUE(let_in(of_3));
    lying.join();
    EXPECT_TRUE(central.logged("the archive could not tell"));
    central.kill();
    central.start();
    EXPECT_TRUE(let_in(of_3));
}

TEST(ContentLocation, IsReadStrictly)
{
    const std::string chip(64, 'a'), base = "/v1/records/" + chip + "/";
    EXPECT_EQ(sequence_in(base + "7", chip), 7U);
    EXPECT_EQ(sequence_in(base + "18446744073709551615", chip), 18446744073709551615U);
    for (const auto* bad : {"", "07", "+7", "-7", "7/", "7 ", " 7", "0x7", "18446744073709551616"})
        EXPECT_EQ(sequence_in(base + bad, chip), std::nullopt) << bad;
    EXPECT_EQ(sequence_in("/v1/records/" + std::string(64, 'b') + "/7", chip), std::nullopt);
    EXPECT_EQ(sequence_in("http://elsewhere" + base + "7", chip), std::nullopt);
}

} // namespace
} // namespace imprint::central
