// SPDX-License-Identifier: Apache-2.0
#include "daemon/lifecycle/state.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace imprint::lifecycle {
namespace {

using Epoch = tpm::Observation::Epoch;

const Bytes our_key(34, 1), other_key(34, 2);
const Bytes our_anchor(32, 3), other_anchor(32, 4);
const std::string our_chip(64, 'a'), other_chip(64, 'b');

// What the TPM shows of its counter, and whether the chip storage key stands at its handle.
struct Sight {
    const char* name;
    Epoch status;
    std::uint64_t epoch;
    bool storage_key;
};
constexpr std::array sights{
    Sight{"cleared", Epoch::undefined, 0, false},
    Sight{"no counter", Epoch::undefined, 0, true},
    Sight{"foreign, cleared", Epoch::foreign, 0, false},
    Sight{"foreign", Epoch::foreign, 0, true},
    Sight{"even", Epoch::counting, 8, true},
    Sight{"odd", Epoch::counting, 9, true},
};

Files files(std::vector<std::uint64_t> receipts = {}, bool recovered = false)
{
    Files result;
    result.any = true;
    result.chip_identifier = our_chip;
    result.storage_key_name = our_key;
    result.receipts = std::move(receipts);
    result.recovered = recovered;
    return result;
}

Files preparing(Files result)
{
    result.preparing = true;
    return result;
}

// The first preparation: the Names are not known yet.
Files first_preparation()
{
    Files result = preparing(files());
    result.storage_key_name.clear();
    return result;
}

Files moving_past(std::uint64_t epoch)
{
    Files result = files({5});
    result.moving_past = epoch;
    return result;
}

struct Row {
    const char* name;
    Files files;
    std::array<State, sights.size()> expected; // by sight
};

const std::vector<Row>& rows()
{
    using enum State;
    constexpr State alien = epoch_foreign;
    static const std::vector<Row> table{
        {"none", {}, {blank, blank, alien, alien, personalization, disk_lost}},
        {"first preparation cut short", first_preparation(), {blank, blank, alien, alien, blank, blank}},
        {"prepared", files(), {tpm_cleared, epoch_deleted, alien, alien, personalization, disk_lost}},
        {"dead", files({5, 7}), {tpm_cleared, epoch_deleted, alien, alien, personalization, disk_rolled_back}},
        {"current", files({7, 9}), {tpm_cleared, epoch_deleted, alien, alien, personalization, operating}},
        {"recovered", files({}, true), {tpm_cleared, epoch_deleted, alien, alien, recovered, disk_rolled_back}},
        {"recovered, dead", files({5}, true), {tpm_cleared, epoch_deleted, alien, alien, recovered, disk_rolled_back}},
        {"recovered, then personalized",
         files({9}, true),
         {tpm_cleared, epoch_deleted, alien, alien, personalization, operating}},
        {"preparation after a clear cut short",
         preparing(files({5})),
         {tpm_cleared, tpm_cleared, alien, alien, tpm_cleared, tpm_cleared}},
        {"second preparation after a clear cut short",
         preparing(files({}, true)),
         {tpm_cleared, tpm_cleared, alien, alien, tpm_cleared, tpm_cleared}},
        {"moving past the present epoch",
         moving_past(9),
         {tpm_cleared, epoch_deleted, alien, alien, personalization, personalization}},
        {"moved past an earlier epoch",
         moving_past(7),
         {tpm_cleared, epoch_deleted, alien, alien, personalization, disk_rolled_back}},
    };
    return table;
}

tpm::Observation observation(const Sight& sight, const Bytes& storage_key)
{
    tpm::Observation tpm;
    tpm.epoch_status = sight.status;
    tpm.epoch = sight.epoch;
    if (sight.storage_key)
        tpm.storage_key_name = storage_key;
    return tpm;
}

TEST(Judge, EverySightWithEveryKindOfFiles)
{
    for (const Row& row : rows())
        for (std::size_t i = 0; i < sights.size(); ++i) {
            auto tpm = observation(sights[i], our_key);
            for (const auto& remembered : {std::optional<Bytes>(), std::optional(our_anchor)}) {
                tpm.anchor = remembered;
                EXPECT_EQ(name(judge(tpm, row.files, our_chip, our_anchor)), name(row.expected[i]))
                    << row.name << ", " << sights[i].name;
            }
        }
}

TEST(Judge, Attack38_FilesOfAnotherChipAreNeverUsed)
{
    for (const Row& row : rows())
        for (std::size_t i = 0; i < sights.size(); ++i) {
            const auto tpm = observation(sights[i], other_key);
            const State expected = row.files.any ? State::tpm_replaced : row.expected[i];
            EXPECT_EQ(name(judge(tpm, row.files, other_chip, our_anchor)), name(expected))
                << row.name << ", " << sights[i].name;
        }
}

TEST(Judge, Attack38_ACopiedEndorsementCertificateDoesNotMakeItTheSameChip)
{
    for (const Row& row : rows())
        for (const Sight& sight : sights) {
            if (row.files.storage_key_name.empty() || !sight.storage_key)
                continue;
            EXPECT_EQ(name(judge(observation(sight, other_key), row.files, our_chip, our_anchor)),
                      name(State::tpm_replaced))
                << row.name << ", " << sight.name;
        }
}

TEST(Judge, TheStorageKeyVouchesForTheChipUnread)
{
    EXPECT_EQ(judge(observation(sights[5], our_key), files({9}), {}, our_anchor), State::operating);
}

TEST(Judge, AnotherAnchorStopsEverythingButAReplacedTpm)
{
    for (const Row& row : rows())
        for (const Sight& sight : sights) {
            auto tpm = observation(sight, our_key);
            tpm.anchor = other_anchor;
            EXPECT_EQ(judge(tpm, row.files, our_chip, our_anchor), State::anchor_mismatch)
                << row.name << ", " << sight.name;
            const State replaced = row.files.any ? State::tpm_replaced : State::anchor_mismatch;
            tpm.storage_key_name.clear();
            EXPECT_EQ(judge(tpm, row.files, other_chip, our_anchor), replaced) << row.name << ", " << sight.name;
        }
}

TEST(States, EveryOneHasItsNameAndAHint)
{
    std::set<std::string_view> names;
    for (int i = 0; i <= static_cast<int>(State::tpm_unavailable); ++i) {
        const auto state = static_cast<State>(i);
        EXPECT_TRUE(names.insert(name(state)).second) << name(state);
        EXPECT_TRUE(hint(state).ends_with('.'));
    }
    EXPECT_EQ(name(State::disk_rolled_back), "disk-rolled-back");
}

} // namespace
} // namespace imprint::lifecycle
