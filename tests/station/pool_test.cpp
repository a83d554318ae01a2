// SPDX-License-Identifier: Apache-2.0
// Pairs that were made in advance: each leaves the pool for one grant, once, and its traces go with it.
#include "provisioning/station/pool.h"

#include "provisioning/station/pool_fill.h"
#include "tests/station/faulty_disk.h"
#include "tests/station/fixture.h"

#include <fstream>
#include <set>
#include <sstream>

namespace imprint::test {

namespace {

using station::Filling;
using station::PairKey;
using station::PairKind;
using station::Pool;

constexpr auto silent = [](std::size_t) {};

class OnAFaultyDisk {
protected:
    FaultyDisk disk; // before the station's database is opened
};

// A station whose devices get one P-256 pair from the pool.
class PoolTest : public OnAFaultyDisk, public OneDevice {
protected:
    PoolTest()
    {
        station.profile.entries = {{"tls", PairKey{.from_pool = true}}};
        station.pool = pool;
    }
    std::size_t fill(std::size_t count, PairKind kind = PairKind::p256)
    {
        return station::fill(store, *pool, {kind, count, 2}, false, silent);
    }
    std::vector<station::PooledPair> pairs()
    {
        SQLite::Database reader(database().string());
        SQLite::Statement query(reader, "SELECT id, kind, sealed FROM pool ORDER BY rowid");
        std::vector<station::PooledPair> all;
        while (query.executeStep()) {
            const auto* sealed = static_cast<const std::uint8_t*>(query.getColumn(2).getBlob());
            all.push_back({query.getColumn(0), query.getColumn(1), Bytes(sealed, sealed + query.getColumn(2).size())});
        }
        return all;
    }
    // In any file of the database, the end of it is enough.
    bool has_trace(BytesView bytes) const
    {
        for (const auto& file : std::filesystem::directory_iterator(directory.path())) {
            std::ostringstream content;
            content << std::ifstream(file.path(), std::ios::binary).rdbuf();
            if (content.str().find(to_string(bytes.last(32))) != std::string::npos)
                return true;
        }
        return false;
    }

    std::shared_ptr<const Pool> pool = std::make_shared<Pool>(random_secret(32));
};

TEST_F(PoolTest, B7_PairsOfEveryKindComeBackAsTheyWereMade)
{
    for (const auto kind : {PairKind::p256, PairKind::p384, PairKind::rsa2048}) {
        const auto made = station::make_pair(kind);
        store.add_pair(pool->seal(made.get()));
        const auto taken = pool->take(store, kind, "chip", 1);
        ASSERT_TRUE(taken);
        EXPECT_EQ(EVP_PKEY_eq(made.get(), taken->get()), 1);
        EXPECT_TRUE(equal(station::private_value(made.get()).view(), station::private_value(taken->get()).view()));
    }
}

TEST_F(PoolTest, B7_FillsUpToACountAndGoesOnWhereItWas)
{
    EXPECT_EQ(fill(300), 300U);
    EXPECT_EQ(fill(100), 300U) << "there are more already";
    EXPECT_EQ(fill(301), 301U);
    EXPECT_EQ(rows("pool"), 301);
    EXPECT_EQ(station::fill(store, *pool, {PairKind::rsa3072, 100, 2}, true, silent), 0U) << "stopped";
}

TEST_F(PoolTest, B7_TwoProgramsFillAndNeverTakeTheSame)
{
    std::set<Bytes> keys;
    station::Store other(database());
    fill(40);
    for (auto* taker : {&store, &other, &store, &other})
        for (int i = 0; i < 10; ++i) {
            auto transaction = taker->begin();
            const auto taken = pool->take(*taker, PairKind::p256, "chip", static_cast<std::uint64_t>(i));
            transaction.commit();
            ASSERT_TRUE(taken);
            EXPECT_TRUE(keys.insert(pki::spki(taken->get())).second);
        }
    const auto empty = pool->take(store, PairKind::p256, "chip", 1);
    ASSERT_FALSE(empty);
    EXPECT_EQ(empty.refusal().reason, Reason::pool_empty);
}

TEST_F(PoolTest, Attack40_NoPairIsGivenTwice)
{
    fill(1);
    ASSERT_TRUE(pool->take(store, PairKind::p256, "chip", 1));
    SQLite::Database writer(database().string(), SQLite::OPEN_READWRITE);
    EXPECT_THROW(writer.exec("UPDATE pool SET chip = NULL, sequence = NULL"), SQLite::Exception);
    EXPECT_THROW(writer.exec("UPDATE pool SET chip = 'other'"), SQLite::Exception);
}

TEST_F(PoolTest, Attack40_SwappedChangedAndForeignRowsAreNoticed)
{
    fill(2);
    EXPECT_NO_THROW(pool->check(store));
    EXPECT_THROW(Pool(random_secret(32)).check(store), Error) << "another pool key";
    SQLite::Database writer(database().string(), SQLite::OPEN_READWRITE);
    writer.exec("DROP TRIGGER pool_taken_once");
    writer.exec("UPDATE pool SET sealed = (SELECT sealed FROM pool WHERE rowid = 2) WHERE rowid = 1");
    EXPECT_THROW(pool->take(store, PairKind::p256, "chip", 1), Error) << "another row's";
    writer.exec(
        "UPDATE pool SET sealed = CAST(substr(sealed, 1, length(sealed) - 1) || x'00' AS BLOB) WHERE rowid = 2");
    EXPECT_THROW(pool->take(store, PairKind::p256, "chip", 2), Error) << "changed";
}

TEST_F(PoolTest, B7_AnEmptyPoolRefusesBeforeAnythingIsBurnt)
{
    EXPECT_EQ(refusal(personalize(device)), Reason::pool_empty);
    EXPECT_EQ(rows("grants"), 0);
    EXPECT_EQ(rows("chips"), 0);
    fill(1);
    EXPECT_TRUE(is_receipt(personalize(device)));
    EXPECT_EQ(rows("pool", "chip IS NOT NULL"), 1) << "until its record is with the archive";
}

TEST_F(PoolTest, B15_Attack40_APairWhoseGrantIsRevokedGoesWithoutATraceAndToNobodyElse)
{
    fill(2);
    const auto before = pairs();
    ASSERT_TRUE(is_grant(send_proof(device, [](auto&) {})));
    EXPECT_TRUE(has_trace(before[0].sealed));
    ASSERT_TRUE(is_grant(send_proof(device, [](auto&) {}))) << "it came back";
    ASSERT_TRUE(store.leave_no_trace());
    EXPECT_FALSE(has_trace(before[0].sealed));
    ASSERT_EQ(rows("pool"), 1);
    EXPECT_EQ(pairs()[0].id, before[1].id);
    EXPECT_EQ(rows("pool", "serial = (SELECT serial FROM grants WHERE state = 'open')"), 1);
}

TEST_F(PoolTest, B15_DrainedPairsLeaveNoTrace)
{
    fill(20);
    const auto before = pairs();
    EXPECT_TRUE(has_trace(before[7].sealed));
    EXPECT_EQ(store.drain_pairs("p256"), 20U);
    ASSERT_TRUE(store.leave_no_trace());
    for (const auto& pair : before)
        EXPECT_FALSE(has_trace(pair.sealed));
}

TEST_F(PoolTest, B15_OnlyWhatTheArchiveHasIsRemoved)
{
    fill(1);
    ASSERT_TRUE(is_receipt(personalize(device)));
    EXPECT_FALSE(store.delivered_pairs(0)) << "it waits";
    store.delivered(store.next_delivery().value(), Bytes{1});
    const auto pairs = store.delivered_pairs(0);
    ASSERT_TRUE(pairs);
    EXPECT_EQ(pairs->chip, device.chip());
    EXPECT_EQ(pairs->receipt, Bytes{1});
    EXPECT_FALSE(store.delivered_pairs(pairs->place));
    EXPECT_EQ(store.remove_pairs(pairs->chip, pairs->sequence), 1U);
}

// Full or broken: whatever was acknowledged has its pair, and no pair is taken for nothing.
TEST_F(PoolTest, Attack40_ADiskThatFailsAtEveryWrite)
{
    fill(100);
    int broken = 0;
    for (std::size_t n = 1;; ++n) {
        SCOPED_TRACE("write or sync " + std::to_string(n));
        device.identity_certificate.clear();
        disk.break_at(n);
        const auto answer = personalize(device);
        disk.repair();
        EXPECT_EQ(rows("pool", "chip IS NOT NULL"), rows("grants", "state <> 'revoked'"));
        EXPECT_EQ(rows("grants g", "state <> 'revoked' AND NOT EXISTS (SELECT 1 FROM pool WHERE serial = g.serial)"),
                  0);
        if (is_receipt(answer))
            break;
        ++broken;
        ASSERT_LT(n, 500U);
    }
    EXPECT_GT(broken, 10);
}

TEST_F(PoolTest, Attack40_AFullDiskLosesAtMostABatch)
{
    fill(10);
    disk.break_at(1);
    EXPECT_THROW(fill(600), SQLite::Exception);
    disk.repair();
    EXPECT_EQ(rows("pool"), 10);
    EXPECT_EQ(fill(600), 600U);
}

} // namespace

} // namespace imprint::test
