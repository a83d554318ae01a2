// SPDX-License-Identifier: Apache-2.0
// A really full disk below the archive: what is acknowledged is there, what is not is refused by its name, and all goes
// on when there is room again.
#include "tests/archive/running_archive.h"
#include "tests/support/postgres.h"
#include "tests/support/small_disk.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace imprint::archive {
namespace {

namespace fs = std::filesystem;
using test::SoftwareDevice;
constexpr auto path_of = [](const auto&... parts) { return test::RunningArchive::path_of(parts...); };

class Attack34 : public testing::Test {
protected:
    // Until one is refused: there may be room yet, in the write-ahead log for one. The sequence of that one.
    std::uint64_t put_until_refused()
    {
        std::uint64_t sequence = sequence_of(acknowledged.size());
        for (; sequence < 2000; sequence += 2) {
            refused = device.record(sequence);
            const auto answer = archive.put(device, sequence, refused);
            if (answer.status != 201) {
                EXPECT_EQ(answer.status, 503U);
                EXPECT_EQ(answer.reason(), "storage-failed");
                return sequence;
            }
            acknowledged.push_back(refused);
        }
        ADD_FAILURE() << "the disk is never full";
        return sequence;
    }
    std::uint64_t sequence_of(std::size_t index) const { return 2 * index + 1; }
    void expect_all_there() const
    {
        for (std::size_t i = 0; i < acknowledged.size(); ++i)
            EXPECT_EQ(archive.get(path_of(device.chip, sequence_of(i))).body, acknowledged[i]) << i;
    }
    // The course of both databases.
    void go_through(test::SmallDisk& disk)
    {
        archive.start({"--rate-per-client", "0"});
        acknowledged.push_back(device.record(1));
        ASSERT_EQ(archive.put(device, 1, acknowledged.front()).status, 201U);
        disk.fill();
        const auto sequence = put_until_refused();
        expect_all_there(); // reading goes on
        EXPECT_EQ(archive.get(path_of(device.chip, sequence)).status, 404U);
        EXPECT_EQ(archive.put(device, sequence, refused).status, 503U);
        EXPECT_EQ(archive.get("/healthz").status, 200U);

        disk.make_room();
        EXPECT_EQ(archive.put(device, sequence, refused).status, 201U);
        acknowledged.push_back(refused);
        expect_all_there();
        archive.kill();
        archive.start({"--rate-per-client", "0"});
        expect_all_there();
        const auto verified = archive.command({"verify", "--json"});
        EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
        EXPECT_EQ(nlohmann::json::parse(verified.out).at("records"), acknowledged.size());
    }

    test::RunningArchive archive;
    SoftwareDevice device{archive.pki, "SN-1"};
    std::vector<Bytes> acknowledged; // sequences 1, 3, 5...
    Bytes refused;
};

TEST_F(Attack34, ASqliteArchiveAcknowledgesNothingThatItHasNoRoomFor)
{
    const auto place = archive.directory / "small";
    fs::create_directory(place);
    test::SmallDisk disk(place, 4);
    archive.url = disk / "archive.db";
    go_through(disk);
    archive.kill();
}

TEST_F(Attack34, APostgresqlArchiveAcknowledgesNothingThatItHasNoRoomFor)
{
    const test::TemporaryDirectory directory;
    const auto place = directory / "small";
    fs::create_directory(place);
    test::Postgres::give_away(directory.path());
    test::Postgres::give_away(place);
    test::SmallDisk disk(place, 24);
    const test::Postgres server;
    server.sql("CREATE TABLESPACE small LOCATION '" + place.string() + "'");
    archive.url = server.make_database("archive", "small");
    go_through(disk);
    archive.kill();
}

} // namespace
} // namespace imprint::archive
