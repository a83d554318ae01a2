// SPDX-License-Identifier: Apache-2.0
// What was acknowledged stays, once, and unchanged.
#include "backup/package/receipt.h"
#include "daemon/pki/key.h"
#include "provisioning/server/database.h"
#include "tests/archive/running_archive.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace imprint::archive {
namespace {

using test::SoftwareDevice;
constexpr auto path_of = [](const auto&... parts) { return test::RunningArchive::path_of(parts...); };

class Durability : public testing::Test {
protected:
    std::size_t stored_records()
    {
        const auto verified = archive.command({"verify", "--json"});
        EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
        return nlohmann::json::parse(verified.out).at("records");
    }

    test::RunningArchive archive;
    SoftwareDevice device{archive.pki, "SN-1"};
};
using Attack09 = Durability;
using Attack20 = Durability;

TEST_F(Attack09, AKillAfterEachAcknowledgementLosesNothing)
{
    std::vector<Bytes> records, receipts;
    for (std::uint64_t sequence = 1; sequence < 12; sequence += 2) {
        archive.start();
        records.push_back(device.record(sequence));
        const auto put = archive.put(device, sequence, records.back());
        archive.kill();
        ASSERT_EQ(put.status, 201U);
        receipts.push_back(put.body);
    }
    archive.start();
    for (std::size_t i = 0; i < records.size(); ++i) {
        EXPECT_EQ(archive.get(path_of(device.chip, 2 * i + 1)).body, records[i]);
        const auto again = archive.put(device, 2 * i + 1, records[i]);
        EXPECT_EQ(again.status, 200U);
        EXPECT_EQ(again.body, receipts[i]);
    }
    EXPECT_EQ(stored_records(), records.size());
}

// From a fresh database on: killed after its N-th write or sync, for every N until a whole PUT goes through.
TEST_F(Attack09, AKillAfterEveryWriteLosesNothingAndDoublesNothing)
{
    const Bytes record = device.record(3);
    bool survived = false;
    int kills = 0;
    bool once_unknown = false; // killed between the commit and the answer
    for (int n = 1; !survived; ++n) {
        SCOPED_TRACE("killed after write " + std::to_string(n));
        archive.remove_database();
        test::Response first;
        const bool reached = archive.try_start({},
                                               {{"LD_PRELOAD", KILL_AT},
                                                {"IMPRINT_KILL_AT", std::to_string(n)},
                                                {"ASAN_OPTIONS", "verify_asan_link_order=0"}});
        if (reached)
            first = archive.put(device, 3, record);
        survived = first.status == 201; // and so ends the loop
        kills += survived ? 0 : 1;
        archive.kill();

        archive.start();
        EXPECT_TRUE(survived || first.status == 0) << first.status;
        const auto again = archive.put(device, 3, record);
        if (survived) {
            EXPECT_EQ(again.status, 200U);
            EXPECT_EQ(again.body, first.body);
        } else { // whether it was stored nobody was told: both are right
            EXPECT_TRUE(again.status == 201 || again.status == 200) << again.status;
        }
        archive.kill();
        if (reached) { // else the kill was in the making of the database
            ASSERT_EQ(stored_records(), 1U);
        }
        once_unknown |= !survived && again.status == 200;
    }
    EXPECT_GT(kills, 10);
    EXPECT_TRUE(once_unknown);
}

// What the power leaves of a log that was being written: all that was acknowledged before, and of what was not,
// nothing.
TEST_F(Attack09, ATornWriteAheadLogLosesNothingThatWasAcknowledged)
{
    const std::string log = archive.database().string() + "-wal";
    const auto read = [](const std::filesystem::path& path) { return read_file(path, 1 << 24).value(); };
    const Bytes first = device.record(1), second = device.record(3);
    archive.start();
    ASSERT_EQ(archive.put(device, 1, first).status, 201U);
    const Bytes before = read(log);
    ASSERT_EQ(archive.put(device, 3, second).status, 201U);
    archive.kill();
    const Bytes database = read(archive.database()), whole = read(log);
    // What the second one has written, behind the first or in its place once that was in the database.
    const auto start = static_cast<std::size_t>(std::ranges::mismatch(before, whole).in1 - before.begin());
    auto end = whole.size();
    while (end > start && end <= before.size() && before[end - 1] == whole[end - 1])
        --end;
    ASSERT_GT(end, start + 4096);
    const auto torn = [&](std::size_t written, std::optional<std::uint8_t> rest = {}) {
        Bytes bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(start + written));
        for (auto at = bytes.size(); at < whole.size() && (rest || at < before.size()); ++at)
            bytes.push_back(rest ? *rest : before[at]);
        return bytes;
    };
    const auto size = end - start;
    for (const auto& left :
         {torn(0), torn(1), torn(size / 2), torn(size - 1), torn(size / 2, 0), torn(size / 2, 0xa5)}) {
        archive.remove_database();
        write_file(archive.database(), database);
        write_file(log, left);
        archive.start();
        EXPECT_EQ(archive.get(path_of(device.chip, 1)).body, first);
        EXPECT_EQ(archive.get(path_of(device.chip, 3)).status, 404U);
        EXPECT_EQ(archive.put(device, 3, second).status, 201U);
        archive.kill();
        EXPECT_EQ(stored_records(), 2U);
    }
}

TEST_F(Attack20, NothingIsChangedOrDeletedWhoeverOpensTheDatabase)
{
    archive.start();
    ASSERT_EQ(archive.put(device, 3, device.record(3)).status, 201U);
    SQLite::Database database(archive.database().string(), SQLite::OPEN_READWRITE);
    for (const auto* statement : {"UPDATE records SET record = x'00'", "UPDATE identities SET value = 'SN-2'",
                                  "DELETE FROM records", "DELETE FROM identities", "DELETE FROM digests",
                                  "UPDATE digests SET digest = zeroblob(32)",
                                  "REPLACE INTO digests SELECT number, zeroblob(32) FROM digests",
                                  "REPLACE INTO records SELECT number, chip, sequence, time, x'00', x'00' FROM records",
                                  "REPLACE INTO records SELECT NULL, chip, sequence, time, x'00', x'00' FROM records",
                                  "REPLACE INTO identities SELECT chip, kind, 'SN-2', key_digest FROM identities"})
        EXPECT_THROW(database.exec(statement), SQLite::Exception) << statement;
    EXPECT_EQ(stored_records(), 1U);
}

TEST_F(Attack20, AChangedDatabaseIsNoticed)
{
    const SoftwareDevice other(archive.pki, "SN-2");
    archive.start();
    ASSERT_EQ(archive.put(device, 3, device.record(3)).status, 201U);
    ASSERT_EQ(archive.put(other, 3, other.record(3)).status, 201U);
    archive.stop();
    const auto faulty = [&](const char* change) {
        const auto saved = read_file(archive.database(), 16 * 1024 * 1024).value();
        {
            SQLite::Database database(archive.database().string(), SQLite::OPEN_READWRITE);
            database.exec("DROP TRIGGER records_stay; DROP TRIGGER identities_stay; DROP TRIGGER digests_stay;"
                          "DROP TRIGGER digests_last");
            database.exec(change);
        }
        const auto verified = archive.command({"verify", "--json"});
        archive.remove_database();
        write_file(archive.database(), saved);
        EXPECT_EQ(verified.status, 3) << verified.err;
        return nlohmann::json::parse(verified.out).at("faulty").size();
    };
    const std::string of_one = " WHERE chip = '" + device.chip + "'";
    EXPECT_EQ(
        faulty(("UPDATE records SET record = (SELECT record FROM records WHERE chip = '" + other.chip + "')" + of_one)
                   .c_str()),
        1U);
    EXPECT_EQ(
        faulty(("UPDATE records SET receipt = (SELECT receipt FROM records WHERE chip = '" + other.chip + "')" + of_one)
                   .c_str()),
        1U);
    EXPECT_EQ(
        faulty(("UPDATE records SET record = CAST(substr(record, 1, 2000) || x'00' || substr(record, 2002) AS BLOB)" +
                of_one)
                   .c_str()),
        1U);
    EXPECT_EQ(faulty(("UPDATE records SET sequence = 5" + of_one).c_str()), 1U);
    EXPECT_EQ(faulty(("UPDATE records SET time = time + 1" + of_one).c_str()), 1U);
    EXPECT_EQ(faulty(("UPDATE identities SET value = 'SN-3'" + of_one).c_str()), 1U);
    EXPECT_EQ(faulty("UPDATE digests SET digest = zeroblob(32) WHERE number = 1"), 1U);
    EXPECT_EQ(faulty("DELETE FROM digests WHERE number = 1"), 1U);
    EXPECT_EQ(stored_records(), 2U);
}

TEST_F(Durability, Attack35_ANewersVersionsDatabaseIsLeftAlone)
{
    {
        SQLite::Database database(archive.database().string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
        database.exec("PRAGMA user_version = 1000");
    }
    EXPECT_FALSE(archive.try_start());
    const auto verified = archive.command({"verify"});
    EXPECT_EQ(verified.status, 1);
    EXPECT_NE(verified.err.find("newer version"), std::string::npos) << verified.err;
}

TEST_F(Durability, OneConfigurationIsForEveryCommand)
{
    archive.start();
    ASSERT_EQ(archive.put(device, 3, device.record(3)).status, 201U);
    write_file(archive.directory / "archive.conf", as_bytes("[serve]\nlisten = \":7480\"\nlisten-tls = \":7443\"\n"));
    const auto config = (archive.directory / "archive.conf").string();
    EXPECT_EQ(archive.command({"--config", config, "verify"}).status, 0);
    EXPECT_EQ(archive.command({"--config", config, "show", device.chip}).status, 0);
}

TEST_F(Durability, WrongUsageIsToldApart)
{
    EXPECT_EQ(archive.command({}).status, 2);
    const auto typo = archive.command({"verfy"});
    EXPECT_EQ(typo.status, 2);
    EXPECT_NE(typo.err.find("verfy"), std::string::npos) << typo.err;
    write_file(archive.directory / "typo.conf", as_bytes("[serve]\nlistn = \":7480\"\n"));
    const auto config = archive.command({"--config", (archive.directory / "typo.conf").string(), "verify"});
    EXPECT_EQ(config.status, 2);
    EXPECT_NE(config.err.find("listn"), std::string::npos) << config.err;
}

TEST_F(Durability, ErrorsSayWhatWhyAndWhatToDo)
{
    const auto missing = archive.command({"verify"});
    EXPECT_EQ(missing.status, 1);
    for (const auto* part :
         {"imprint-archive: ", "(not-configured)", "Why: ", "archive.db does not exist", "What to do: "})
        EXPECT_NE(missing.err.find(part), std::string::npos) << part << " is not in " << missing.err;
}

TEST_F(Durability, AnArchiveShowsItselfAsOneOnly)
{
    const auto put_key = [&](const test::Certified& certified, const std::string& name) {
        write_file(archive.directory / (name + ".pem"), pki::to_pem({certified.certificate}));
        pki::store_key(archive.directory / (name + ".key"), certified.key.get(), std::nullopt);
    };
    put_key(archive.pki.station_tls, "station");
    const auto refused =
        archive.command({"serve", "--certificate", (archive.directory / "station.pem").string(), "--key",
                         (archive.directory / "station.key").string(), "--listen", ":0", "--listen-tls", ":0"});
    EXPECT_EQ(refused.status, 1);
    EXPECT_NE(refused.err.find("wrong-role"), std::string::npos) << refused.err;
}

TEST_F(Durability, CommandsMakeNoDatabase)
{
    EXPECT_EQ(archive.command({"verify"}).status, 1);
    EXPECT_EQ(archive.command({"show", device.chip}).status, 1);
    EXPECT_FALSE(std::filesystem::exists(archive.database()));
}

} // namespace
} // namespace imprint::archive
