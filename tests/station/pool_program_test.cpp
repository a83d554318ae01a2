// SPDX-License-Identifier: Apache-2.0
// The pool with the real station and the real archive: a pair stays until its record is there, and no longer.
#include "provisioning/station/pool.h"
#include "tests/station/running_archive.h"
#include "tests/station/running_station.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <csignal>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sstream>

namespace imprint::test {

namespace {

using ::testing::HasSubstr;

class PoolProgram : public ::testing::Test {
protected:
    PoolProgram()
    {
        station.trust(device);
        write_file(station.directory / "profile.toml",
                   as_bytes(std::string("[[entry]]\nlabel = \"tls\"\ntype = \"p256\"\nsource = \"pool\"\n")));
    }

    bool start(const Environment& environment = {}, const Arguments& more = {})
    {
        Arguments arguments{"--archive", archive.url(), "--profile", station.directory / "profile.toml"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return station.try_start(arguments, environment);
    }
    void fill(int count) const
    {
        const auto filled = station.command({"pool", "fill", "p256", std::to_string(count)});
        ASSERT_EQ(filled.status, 0) << filled.err;
    }
    bool personalize()
    try {
        const auto stream = station.connect();
        DeviceSide side(device, stream->channel_binding());
        personalize_over(*stream, side);
        return true;
    } catch (const Error&) {
        return false;
    }
    int taken() const
    {
        return nlohmann::json::parse(station.command({"pool", "status", "--json"}).out).at(0).at("taken");
    }
    // Until the archive has confirmed everything, or the station is dead.
    bool wait_until_released(int most_questions = 400) const
    {
        for (int i = 0; i < most_questions; ++i)
            if (taken() == 0)
                return true;
        return false;
    }

    // --- what lies on the disk, looked at in a copy: opening a database puts its log in order
    std::filesystem::path copy() const
    {
        const auto to = station.directory / "copy";
        std::filesystem::remove_all(to);
        std::filesystem::copy(station.state(), to);
        return to / "station.db";
    }
    std::map<std::string, Bytes> pairs() const
    {
        SQLite::Database reader(copy().string(), SQLite::OPEN_READWRITE);
        SQLite::Statement query(reader, "SELECT id, sealed FROM pool");
        std::map<std::string, Bytes> all;
        while (query.executeStep()) {
            const auto* sealed = static_cast<const std::uint8_t*>(query.getColumn(1).getBlob());
            all[query.getColumn(0)] = Bytes(sealed, sealed + query.getColumn(1).size());
        }
        return all;
    }
    void expect_no_trace(const std::map<std::string, Bytes>& before) const
    {
        std::ostringstream content;
        for (const auto& file : std::filesystem::directory_iterator(station.state()))
            content << std::ifstream(file.path(), std::ios::binary).rdbuf();
        const std::string all = content.str();
        const auto there = pairs();
        for (const auto& [id, sealed] : before) {
            const bool found = all.find(to_string(BytesView(sealed).last(32))) != std::string::npos;
            EXPECT_EQ(found, there.contains(id)) << id;
        }
    }
    void expect_neither_lost_nor_kept() const
    {
        SQLite::Database reader(copy().string(), SQLite::OPEN_READWRITE);
        reader.exec("ATTACH '" + archive.database().string() + "' AS archive");
        const auto count = [&](const std::string& what) {
            return reader.execAndGet("SELECT count(*) FROM " + what).getInt();
        };
        EXPECT_EQ(count("grants g WHERE state = 'open' AND NOT EXISTS (SELECT 1 FROM pool WHERE serial = g.serial)"), 0)
            << "lost: a device may have it and has no backup";
        EXPECT_EQ(count("main.records r WHERE NOT EXISTS (SELECT 1 FROM pool p WHERE p.chip = r.chip AND "
                        "p.sequence = r.sequence) AND NOT EXISTS (SELECT 1 FROM archive.records a WHERE "
                        "a.chip = r.chip AND a.sequence = r.sequence)"),
                  0)
            << "lost: the archive has no record";
        EXPECT_EQ(count("pool WHERE chip IS NOT NULL AND serial IS NULL"), 0) << "taken by nobody";
        EXPECT_EQ(count("pool JOIN grants g USING (serial) WHERE g.state = 'revoked'"), 0) << "kept";
    }

    TestPki pki;
    RunningStation station{pki};
    RunningArchive archive{pki, pki.archive};
    HonestDevice device;
};

TEST_F(PoolProgram, B7_B15_APairIsRemovedOnceItsRecordIsReadBackFromTheArchive)
{
    fill(3);
    const auto before = pairs();
    const station::Pool pool(station::load_pool_key(station::pool_key_path(station.state())));
    archive.stop();
    ASSERT_TRUE(start());
    ASSERT_TRUE(personalize());
    EXPECT_EQ(taken(), 1) << "the archive is away";
    station.kill();
    archive.start();
    ASSERT_TRUE(start());
    ASSERT_TRUE(wait_until_released());
    EXPECT_THAT(station.command({"audit"}).out, HasSubstr("pairs-removed"));
    EXPECT_EQ(station.stop(), 0);
    EXPECT_EQ(pairs().size(), 2U);
    expect_no_trace(before);
}

TEST_F(PoolProgram, Attack40_ARecordThatTheArchiveLostKeepsItsPair)
{
    fill(1);
    archive.stop();
    ASSERT_TRUE(start());
    ASSERT_TRUE(personalize());
    station.kill();
    // Some receipt, but the archive does not have the record.
    SQLite::Database((station.state() / "station.db").string(), SQLite::OPEN_READWRITE)
        .exec("UPDATE outbox SET state = 'delivered', receipt = x'30'");
    archive.start();
    ASSERT_TRUE(start());
    const auto told = [&] { return to_string(read_file(station.directory / "log", 1 << 20).value()); };
    for (int i = 0; i < 400 && told().find("cannot be read back") == std::string::npos; ++i)
        taken();
    EXPECT_THAT(told(), HasSubstr("cannot be read back"));
    EXPECT_EQ(taken(), 1);
}

// At every point where the station's state becomes durable, and right before: take, grant, record, delivery, removal.
TEST_F(PoolProgram, B7_B15_Attack40_KilledAtEveryCommit)
{
    fill(150);
    const auto before = pairs();
    ASSERT_TRUE(start());
    ASSERT_TRUE(personalize()) << "it has its identity certificate";
    station.kill();
    int kills = 0;
    for (const char* when : {"IMPRINT_KILL_BEFORE", "IMPRINT_KILL_AFTER"})
        for (int n = 1, survived = 0; survived == 0; ++n) {
            SCOPED_TRACE(std::string(when) + " " + std::to_string(n));
            device.move_on();
            const bool came_up = start({{"LD_PRELOAD", KILL_AT_SYNC},
                                        {when, std::to_string(n)},
                                        {"ASAN_OPTIONS", "verify_asan_link_order=0"}});
            survived = came_up && personalize() && wait_until_released(40) ? 1 : 0;
            kills += 1 - survived;
            station.kill();
            expect_neither_lost_nor_kept();

            device.move_on();
            ASSERT_TRUE(start());
            ASSERT_TRUE(personalize());
            ASSERT_TRUE(wait_until_released());
            expect_neither_lost_nor_kept();
            EXPECT_EQ(station.stop(), 0);
            expect_no_trace(before);
        }
    EXPECT_GE(kills, 8);
}

TEST_F(PoolProgram, B7_FillingThatIsKilledLosesABatchAndGoesOn)
{
    for (int i = 0; i < 5; ++i) {
        Process filling({IMPRINT_STATION, "--state", station.state(), "pool", "fill", "p256", "5000"}, {},
                        station.directory / "fill.log");
        while (filling.running() && pairs().size() < static_cast<std::size_t>(i + 1) * 300)
            continue;
        filling.signal(i % 2 == 0 ? SIGKILL : SIGINT);
        filling.wait();
    }
    fill(5000);
    EXPECT_EQ(pairs().size(), 5000U);
    start({}); // and the key opens them
    EXPECT_TRUE(personalize());
}

TEST_F(PoolProgram, TellsItsOperatorWhatThereIsAndAsksBeforeItRemoves)
{
    fill(2);
    EXPECT_THAT(station.command({"pool", "status", "--pool-low-water", "3"}).out, HasSubstr("p256: 2 free, 0 taken"));
    EXPECT_THAT(station.command({"pool", "drain", "p256"}).err, HasSubstr("--yes"));
    EXPECT_EQ(pairs().size(), 2U);
    std::filesystem::rename(station.state() / "pool.key", station.directory / "pool.key");
    EXPECT_THAT(station.command({"pool", "fill", "p256", "3"}).err, HasSubstr("drain"));
    EXPECT_EQ(station.command({"pool", "drain", "--all", "--yes"}).status, 0);
    EXPECT_EQ(pairs().size(), 0U);
    EXPECT_EQ(station.command({"pool", "fill", "p521", "3"}).status, 1);
    fill(3);
    write_file(station.state() / "pool.key", Bytes(32, 1));
    EXPECT_FALSE(start()) << "another pool key";
}

TEST_F(PoolProgram, WarnsOfLowWater)
{
    fill(2);
    ASSERT_TRUE(start({}, {"--pool-low-water", "2"}));
    ASSERT_TRUE(personalize());
    ASSERT_TRUE(wait_until_released());
    EXPECT_EQ(station.stop(), 0);
    EXPECT_THAT(to_string(read_file(station.directory / "log", 1 << 20).value()), HasSubstr("the pool gets low"));
}

} // namespace

} // namespace imprint::test
