// SPDX-License-Identifier: Apache-2.0
// Many who add at the same time share a transaction, and none of them notices.
#include "backup/archive/group_commit.h"
#include "daemon/structures/name.h"
#include "tests/support/process.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <thread>

namespace imprint::archive {
namespace {

Entry entry(std::size_t number, std::uint8_t content = 1)
{
    const std::string digits = std::to_string(number);
    const std::string chip = std::string(64 - digits.size(), '0') + digits;
    return {{chip, {"serial", "SN" + digits}, structures::digest(TPM2_ALG_SHA256, as_bytes(chip))},
            1,
            pki::Time(std::chrono::seconds(1)),
            Bytes(100, content),
            Bytes(10, 2)};
}

// A database that counts its transactions, holds the first one back, and can fail.
class Watched : public Store {
public:
    explicit Watched(const std::string& url)
        : inner_(open_store(url))
    {
    }
    std::optional<Entry> find(const std::string& chip, std::uint64_t sequence) override
    {
        return inner_->find(chip, sequence);
    }
    std::optional<Published> read(const std::string& chip, std::optional<std::uint64_t> sequence) override
    {
        return inner_->read(chip, sequence);
    }
    void visit(const std::string& chip, const std::function<bool(const Entry&)>& visitor) override
    {
        inner_->visit(chip, visitor);
    }
    std::optional<Replacement> replacement_by(const std::string& chip) override { return inner_->replacement_by(chip); }
    std::optional<Replacement> replacement_of(const std::string& chip) override { return inner_->replacement_of(chip); }
    std::vector<Listed> list(std::uint64_t after, std::size_t limit) override { return inner_->list(after, limit); }
    std::vector<ListedReplacement> list_replacements(std::uint64_t after, std::size_t limit) override
    {
        return inner_->list_replacements(after, limit);
    }
    std::vector<Result<Added>> add_all(std::span<const Entry> entries) override
    {
        if (++transactions == 1)
            first.wait();
        if (broken)
            throw Error(Reason::storage_failed, "the disk is full");
        return inner_->add_all(entries);
    }
    Result<bool> add_replacement(const Replacement& replacement) override
    {
        return inner_->add_replacement(replacement);
    }

    int transactions = 0;
    bool broken = false;
    std::latch first{1};

private:
    std::unique_ptr<Store> inner_;
};

class Grouped : public testing::Test {
protected:
    Grouped()
    {
        auto writer = std::make_unique<Watched>(url);
        watched = writer.get();
        store = std::make_unique<GroupCommit>(open_store(url), std::move(writer));
    }
    static constexpr std::size_t adders = 16;

    test::TemporaryDirectory directory;
    const std::string url = directory / "archive.db";
    Watched* watched = nullptr;
    std::unique_ptr<GroupCommit> store;
};

TEST_F(Grouped, B1_WhoComesDuringACommitSharesTheNext)
{
    std::vector<int> fresh(adders);
    {
        std::latch begun(adders);
        std::vector<std::jthread> threads;
        for (std::size_t i = 0; i < adders; ++i)
            threads.emplace_back([&, i] {
                begun.count_down();
                const auto added = store->add(entry(i));
                fresh[i] = added && added->fresh ? 1 : 0;
            });
        begun.wait();
        watched->first.count_down();
    }
    EXPECT_EQ(std::ranges::count(fresh, 1), static_cast<std::ptrdiff_t>(adders));
    EXPECT_LT(watched->transactions, static_cast<int>(adders));
    for (std::size_t i = 0; i < adders; ++i)
        EXPECT_EQ(store->find(entry(i).owner.chip_identifier, 1)->record, entry(i).record);
}

TEST_F(Grouped, Attack09_ARefusalIsItsOwnersAlone)
{
    watched->first.count_down();
    ASSERT_TRUE(store->add(entry(1)));
    std::vector<Result<Added>> results(3, Refusal{});
    {
        std::vector<std::jthread> threads;
        threads.emplace_back([&] { results[0] = store->add(entry(1, 9)); }); // other bytes
        threads.emplace_back([&] { results[1] = store->add(entry(1)); }); // the same
        threads.emplace_back([&] { results[2] = store->add(entry(2)); });
    }
    ASSERT_FALSE(results[0]);
    EXPECT_EQ(results[0].refusal().reason, Reason::sequence_taken);
    ASSERT_TRUE(results[1]);
    EXPECT_FALSE(results[1]->fresh);
    ASSERT_TRUE(results[2]);
    EXPECT_TRUE(results[2]->fresh);
}

TEST_F(Grouped, Attack09_Attack34_WhereTheDiskIsFullNobodyIsAcknowledgedAndTheNextTryWorks)
{
    watched->broken = true;
    watched->first.count_down();
    std::atomic<int> failed = 0;
    {
        std::vector<std::jthread> threads;
        for (std::size_t i = 0; i < adders; ++i)
            threads.emplace_back([&, i] {
                try {
                    static_cast<void>(store->add(entry(i)));
                } catch (const Error& error) {
                    failed += error.reason() == Reason::storage_failed ? 1 : 0;
                }
            });
    }
    EXPECT_EQ(failed, static_cast<int>(adders));
    watched->broken = false;
    for (std::size_t i = 0; i < adders; ++i)
        EXPECT_TRUE(store->add(entry(i))->fresh);
}

} // namespace
} // namespace imprint::archive
