// SPDX-License-Identifier: Apache-2.0
// What every database of the archive has to do, and what only PostgreSQL can do wrong.
#include "backup/archive/store.h"
#include "tests/archive/backends.h"
#include "tests/archive/running_archive.h"
#include "tests/support/postgres.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace imprint::archive {
namespace {

Entry entry(char chip, std::uint64_t sequence, const std::string& serial, const std::string& record = "record")
{
    return {{std::string(64, chip), {"serial", serial}, Bytes(32, static_cast<std::uint8_t>(chip))},
            sequence,
            test::now,
            to_bytes(record),
            to_bytes("receipt of " + record)};
}

using test::fresh_postgres;
using test::shared_postgres;

class Stores : public testing::TestWithParam<const char*> {
protected:
    test::TemporaryDirectory directory;
    const std::string url = test::fresh_database(GetParam(), directory.path());
    std::unique_ptr<Store> store = open_store(url);

    std::vector<std::uint64_t> sequences(const std::string& chip = {})
    {
        std::vector<std::uint64_t> found;
        store->visit(chip, [&](const Entry& one) {
            found.push_back(one.sequence);
            return true;
        });
        return found;
    }
};
INSTANTIATE_TEST_SUITE_P(All, Stores, testing::Values("SQLite", "PostgreSQL"),
                         [](const auto& parameter) { return std::string(parameter.param); });

TEST_P(Stores, B1_ARecordIsFoundAsItWasAdded)
{
    const Entry three = entry('a', 3, "SN-1", std::string("\0\xff record", 9)), five = entry('a', 5, "SN-1");
    ASSERT_TRUE(store->add(five)->fresh);
    ASSERT_TRUE(store->add(three)->fresh);
    const auto found = open_store(url, Opening::existing)->find(three.owner.chip_identifier, 3);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->owner, three.owner);
    EXPECT_EQ(found->record, three.record);
    EXPECT_EQ(found->receipt, three.receipt);
    EXPECT_EQ(found->time, three.time);
    EXPECT_EQ(found->digest, package::record_digest(three.record));
    const auto published = store->read(three.owner.chip_identifier, 3);
    ASSERT_TRUE(published);
    EXPECT_EQ(published->sequence, 3U);
    EXPECT_EQ(published->digest, package::record_digest(three.record));
    EXPECT_EQ(published->record, three.record);
    EXPECT_EQ(store->read(three.owner.chip_identifier, {})->sequence, 5U);
    EXPECT_FALSE(store->find(three.owner.chip_identifier, 7));
    EXPECT_FALSE(store->find(three.owner.chip_identifier, ~0ULL));
    EXPECT_FALSE(store->read(three.owner.chip_identifier, ~0ULL));
    EXPECT_FALSE(store->read(std::string(64, 'b'), {}));
}

TEST_P(Stores, Attack09_OfManyAtOnceARefusedOneLeavesTheOthersAlone)
{
    ASSERT_TRUE(store->add(entry('a', 3, "SN-1")));
    Entry broken = entry('d', 3, "SN-4");
    broken.owner.key_digest.pop_back(); // what only the schema notices
    const std::vector entries{entry('b', 3, "SN-2"),
                              entry('a', 3, "SN-1", "other"),
                              entry('a', 3, "SN-1"),
                              entry('c', 3, "SN-1", "thief"),
                              broken,
                              entry('b', 5, "SN-2"),
                              entry('b', 5, "SN-2", "twin"),
                              entry('e', 3, "SN-5")};
    const auto results = store->add_all(entries);
    ASSERT_EQ(results.size(), entries.size());
    EXPECT_TRUE(results[0] && results[0]->fresh);
    EXPECT_EQ(results[1].refusal().reason, Reason::sequence_taken);
    EXPECT_TRUE(results[2] && !results[2]->fresh);
    EXPECT_EQ(results[2]->receipt, entry('a', 3, "SN-1").receipt);
    EXPECT_EQ(results[3].refusal().reason, Reason::identity_taken);
    EXPECT_EQ(results[4].refusal().reason, Reason::record_invalid);
    EXPECT_TRUE(results[5]);
    EXPECT_EQ(results[6].refusal().reason, Reason::sequence_taken);
    EXPECT_TRUE(results[7]);
    EXPECT_EQ(sequences(), (std::vector<std::uint64_t>{3, 3, 5, 3})); // of a, b, b, e
}

TEST_P(Stores, B26_VisitsAllInOrderHoweverManyThereAre)
{
    std::vector<Entry> entries;
    std::vector<std::uint64_t> expected;
    for (std::uint64_t sequence = 1; sequence < 400; sequence += 2) {
        entries.push_back(entry('a', sequence, "SN-1"));
        expected.push_back(sequence);
    }
    store->add_all(entries);
    ASSERT_TRUE(store->add(entry('b', 1, "SN-2")));
    EXPECT_EQ(sequences(std::string(64, 'a')), expected);
    EXPECT_EQ(sequences().size(), expected.size() + 1);
}

TEST_P(Stores, B1_ListsByNumberInTheOrderOfArrival)
{
    for (const char chip : {'b', 'a', 'c'})
        ASSERT_TRUE(store->add(entry(chip, 3, "SN-" + std::string(1, chip))));
    const auto all = store->list(0, 500);
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(all[0].chip, std::string(64, 'b'));
    EXPECT_EQ(all[0].sequence, 3U);
    EXPECT_EQ(all[0].digest, package::record_digest(to_bytes("record")));
    EXPECT_LT(all[0].number, all[1].number);
    ASSERT_EQ(store->list(all[0].number, 1).size(), 1U);
    EXPECT_EQ(store->list(all[0].number, 1)[0].chip, std::string(64, 'a'));
    EXPECT_TRUE(store->list(all[2].number, 500).empty());
    EXPECT_TRUE(store->list(~0ULL, 500).empty());
}

TEST_P(Stores, B19_AReplacedChipsIdentityGoesOnWithTheNewOne)
{
    ASSERT_TRUE(store->add(entry('a', 3, "SN-1")));
    const Replacement replacement{
        std::string(64, 'a'), std::string(64, 'b'), {"serial", "SN-1"}, test::now, to_bytes("statement")};
    EXPECT_TRUE(*store->add_replacement(replacement));
    EXPECT_FALSE(*store->add_replacement(replacement));
    EXPECT_EQ(store->add(entry('a', 5, "SN-1")).refusal().reason, Reason::chip_replaced);
    EXPECT_TRUE(store->add(entry('b', 1, "SN-1"))->fresh);
    EXPECT_EQ(store->replacement_by(std::string(64, 'b')), replacement);
    EXPECT_EQ(store->replacement_of(std::string(64, 'a')), replacement);
    int visited = 0;
    store->visit_replacements([&](const Replacement& one) { return one == replacement && ++visited > 0; });
    EXPECT_EQ(visited, 1);
}

// Each from a connection of its own: transactions that are in each other's way are repeated, not failed.
TEST_P(Stores, Attack05_OfRacingChipsOneGetsTheIdentity)
{
    constexpr int identities = 20;
    std::vector<std::atomic<int>> won(identities);
    std::atomic<int> taken = 0;
    std::vector<std::thread> racers;
    for (const char chip : {'a', 'b', 'c', 'd'})
        racers.emplace_back([&, chip] {
            const auto own = open_store(url);
            for (int i = 0; i < identities; ++i) {
                Entry one = entry(chip, 3, "SN-" + std::to_string(i));
                one.owner.chip_identifier.replace(0, 2, std::to_string(10 + i));
                one.owner.key_digest[0] = static_cast<std::uint8_t>(i);
                const auto added = own->add(one);
                if (added)
                    ++won.at(i);
                else if (added.refusal().reason == Reason::identity_taken)
                    ++taken;
            }
        });
    for (auto& racer : racers)
        racer.join();
    for (const auto& count : won)
        EXPECT_EQ(count, 1);
    EXPECT_EQ(taken, 3 * identities);
}

class PostgresArchive : public testing::Test {
protected:
    const std::string url = fresh_postgres();
    std::string database() const { return url.substr(14, url.find('?') - 14); }
};

TEST_F(PostgresArchive, Attack20_NothingIsChangedOrDeletedByOtherPrograms)
{
    const auto store = open_store(url);
    ASSERT_TRUE(store->add(entry('a', 3, "SN-1")));
    const std::string set = "SET search_path = imprint_archive; ";
    for (const auto* statement :
         {"UPDATE records SET record = ''", "DELETE FROM records", "TRUNCATE records", "DELETE FROM identities",
          "UPDATE identities SET value = 'SN-2'", "TRUNCATE identities CASCADE", "DELETE FROM digests",
          "UPDATE digests SET digest = sha256('')", "TRUNCATE digests",
          "SET session_replication_role = replica; DELETE FROM records",
          "INSERT INTO identities SELECT * FROM identities ON CONFLICT (chip) DO UPDATE SET value = 'SN-2'"})
        EXPECT_THROW(shared_postgres().sql(set + statement, database()), std::runtime_error) << statement;
    EXPECT_TRUE(store->find(std::string(64, 'a'), 3));
}

TEST_F(PostgresArchive, Attack35_ADatabaseWithoutDigestsGetsThem)
{
    const Entry one = entry('a', 3, "SN-1");
    ASSERT_TRUE(open_store(url)->add(one));
    shared_postgres().sql("SET search_path = imprint_archive; DROP FUNCTION records_digest() CASCADE;"
                          "DROP TABLE digests; UPDATE version SET number = 2",
                          database());
    const auto store = open_store(url);
    EXPECT_EQ(store->read(one.owner.chip_identifier, 3)->digest, package::record_digest(one.record));
    EXPECT_EQ(store->find(one.owner.chip_identifier, 3)->digest, package::record_digest(one.record));
}

TEST_F(PostgresArchive, ThereIsNoPasswordInItsUrl)
{
    for (const auto* bad : {"postgresql://archive:secret@localhost/archive", "postgresql:///a?password=secret"})
        try {
            open_store(bad);
            ADD_FAILURE() << bad;
        } catch (const Error& error) {
            EXPECT_EQ(error.reason(), Reason::invalid_argument);
            EXPECT_EQ(std::string(error.what()).find("secret"), std::string::npos);
            EXPECT_NE(std::string(error.what()).find("pgpass"), std::string::npos) << error.what();
        }
}

TEST_F(PostgresArchive, ItsPasswordComesFromAFileThatNobodyElseCanRead)
{
    const test::Postgres server;
    const std::string strict = server.make_database("strict");
    server.sql("ALTER ROLE strict PASSWORD 'open sesame'");
    write_file(server.sql("SELECT current_setting('hba_file')"),
               as_bytes("local all strict scram-sha-256\nlocal all all trust\n"), 0644);
    server.sql("SELECT pg_reload_conf()");
    server.wait_for_log("reloading configuration files");
    const test::TemporaryDirectory directory;
    const auto file = directory / "pgpass"; // a credential of systemd's, say
    write_file(file, as_bytes("*:*:strict:strict:open sesame\n"));
    const auto show = [&](const test::Environment& environment) {
        return test::run({IMPRINT_ARCHIVE, "--database", strict, "show", std::string(64, 'a')}, {}, environment).err;
    };
    EXPECT_NE(show({}).find("no password"), std::string::npos) << show({});
    EXPECT_NE(show({{"PGPASSFILE", file}}).find("there is no archive in this database yet"), std::string::npos)
        << show({{"PGPASSFILE", file}});
}

TEST_F(PostgresArchive, WhoOnlyLooksMakesNothing)
{
    EXPECT_THROW(open_store(url, Opening::existing), Error);
    EXPECT_EQ(shared_postgres().sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'imprint_archive'", database()),
              "0");
}

TEST_F(PostgresArchive, ANewerVersionsDatabaseIsLeftAlone)
{
    open_store(url);
    shared_postgres().sql("UPDATE imprint_archive.version SET number = 1000", database());
    EXPECT_THROW(open_store(url), Error);
}

TEST_F(PostgresArchive, Attack09_IsDurableWhateverTheServersDefault)
{
    shared_postgres().sql("ALTER DATABASE " + database() + " SET synchronous_commit = off");
    const auto store = open_store(url);
    ASSERT_TRUE(store->add(entry('a', 3, "SN-1")));
    // The log is on the disk as far as it was written.
    EXPECT_EQ(shared_postgres().sql("SELECT pg_current_wal_flush_lsn() = pg_current_wal_insert_lsn()"), "t");
}

TEST_F(PostgresArchive, Attack09_AConnectionThatEndedMeanwhileIsMadeAnew)
{
    const auto store = open_store(url);
    ASSERT_TRUE(store->add(entry('a', 3, "SN-1")));
    const std::string end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '";
    ASSERT_EQ(shared_postgres().sql(end + database() + "'"), "1");
    EXPECT_TRUE(store->add(entry('a', 5, "SN-1"))->fresh);
    ASSERT_EQ(shared_postgres().sql(end + database() + "'"), "1");
    EXPECT_TRUE(store->find(std::string(64, 'a'), 3));
}

} // namespace
} // namespace imprint::archive
