// SPDX-License-Identifier: Apache-2.0
// The archive on PostgreSQL with a synchronous standby: what was acknowledged is on both, whichever dies.
#include "backup/archive/store.h"
#include "tests/archive/running_archive.h"
#include "tests/support/postgres.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <atomic>
#include <thread>

namespace imprint::archive {
namespace {

using test::SoftwareDevice;
using namespace std::chrono_literals;

// A station that hands in one record after the other, each until it is acknowledged.
class Loader {
public:
    explicit Loader(const test::RunningArchive& archive, int number)
        : archive_(archive)
        , device_(archive.pki, "SN-" + std::to_string(number))
    {
    }

    void run(const std::atomic<bool>& enough)
    {
        for (std::uint64_t sequence = 1; !enough; sequence += 2) {
            const Bytes record = device_.record(sequence);
            test::Response answer;
            const auto deadline = std::chrono::steady_clock::now() + 60s;
            while (answer.status != 201 && answer.status != 200 && std::chrono::steady_clock::now() < deadline) {
                answer = archive_.put(device_, sequence, record);
                refused += answer.status != 201 && answer.status != 200 ? 1 : 0;
            }
            acknowledged.push_back({sequence, record, answer.body});
            ++count;
            count.notify_all();
        }
    }

    // Every one is there as it was acknowledged, and asking again gives the same receipt.
    void check() const
    {
        for (const auto& one : acknowledged) {
            const auto again = archive_.put(device_, one.sequence, one.record);
            EXPECT_EQ(again.status, 200U);
            EXPECT_EQ(again.body, one.receipt);
        }
    }

    struct Acknowledged {
        std::uint64_t sequence;
        Bytes record, receipt;
    };
    std::vector<Acknowledged> acknowledged;
    std::atomic<int> count = 0, refused = 0;

private:
    const test::RunningArchive& archive_;
    SoftwareDevice device_;
};

class Failover : public testing::Test {
protected:
    test::Postgres primary;
    const std::string alone = primary.make_database("archive");
    std::optional<test::Postgres> standby{std::in_place, &primary};
    const std::string url = test::Postgres::url("archive", {&primary, &*standby});
};

TEST_F(Failover, Attack09_ThePrimaryDiesUnderLoadAndNothingAcknowledgedIsLostOrTwice)
{
    test::RunningArchive archive;
    archive.url = url;
    archive.start();
    std::vector<std::unique_ptr<Loader>> loaders;
    for (int i = 0; i < 4; ++i)
        loaders.push_back(std::make_unique<Loader>(archive, i));
    std::atomic<bool> enough = false;
    std::vector<std::thread> threads;
    for (auto& loader : loaders)
        threads.emplace_back([&] { loader->run(enough); });
    const auto reach = [&](int more) { // each of them
        std::vector<int> goals;
        for (const auto& loader : loaders)
            goals.push_back(loader->count + more);
        for (std::size_t i = 0; i < loaders.size(); ++i)
            for (int now = loaders[i]->count; now < goals[i]; now = loaders[i]->count)
                loaders[i]->count.wait(now); // each goes on, if only after a minute without an acknowledgement
    };
    reach(5);
    primary.kill();
    standby->promote();
    reach(5);
    enough = true;
    for (auto& thread : threads)
        thread.join();

    std::size_t acknowledged = 0;
    for (const auto& loader : loaders) {
        EXPECT_GE(loader->count, 10);
        acknowledged += loader->acknowledged.size();
        loader->check();
    }
    const auto verified = archive.command({"verify", "--json"});
    EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
    EXPECT_EQ(nlohmann::json::parse(verified.out).at("records"), acknowledged);
}

// The server calls a commit a success whose wait for the standby was cancelled; here it is none, nor is the record
// acknowledged to who asks again, until it is on the standby.
TEST_F(Failover, Attack09_WhatIsNotOnTheStandbyIsNotAcknowledged)
{
    const auto store = open_store(url);
    const Entry entry{
        {std::string(64, 'a'), {"serial", "SN-1"}, Bytes(32, 1)}, 3, test::now, to_bytes("r"), to_bytes("q")};
    standby->kill();
    for (const auto* end : {"pg_cancel_backend", "pg_cancel_backend", "pg_terminate_backend"}) {
        std::atomic<bool> done = false;
        std::thread canceller([&] {
            while (!done)
                primary.sql("SELECT " + std::string(end) + "(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
        });
        EXPECT_THROW(store->add(entry), Error) << end;
        done = true;
        canceller.join();
    }
    EXPECT_EQ(primary.sql("SELECT count(*) FROM imprint_archive.records", "archive"), "1"); // it is there, alone
    standby->start();
    const auto added = store->add(entry);
    ASSERT_TRUE(added);
    EXPECT_FALSE(added->fresh);
    primary.kill();
    standby->promote();
    EXPECT_TRUE(store->find(std::string(64, 'a'), 3));
}

} // namespace
} // namespace imprint::archive
