// SPDX-License-Identifier: Apache-2.0
// Transaction numbers and tickets in the station's database: given out, listed, revoked, burnt.
#include "provisioning/station/introductions.h"

#include "tests/support/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace imprint::station {

namespace {

using namespace std::chrono_literals;
using protocol::IntroductionCode;
using protocol::IntroductionKind;

const pki::Time start{1'900'000'000s};
const std::string chip(64, 'a');
const std::string other(64, 'b');

Reason reason_of(const std::function<void()>& work)
{
    try {
        work();
    } catch (const Error& e) {
        return e.reason();
    }
    return Reason::internal;
}

class IntroductionStore : public ::testing::Test {
protected:
    std::string issue(const Terms& terms)
    {
        auto transaction = store.begin();
        const auto code = issue_transaction_number(store, terms, start);
        transaction.commit();
        return code.selector;
    }
    Result<std::monostate> usable(const std::string& selector, const std::string& by, pki::Time at = start)
    {
        return usable_by(store.introduction(selector).value(), by, at);
    }
    void add_record(const std::string& of, std::uint64_t sequence)
    {
        ASSERT_TRUE(store.add_chip({.id = of, .identity = {"serial", "SN1"}}, Bytes{1}));
        store.add_record({.chip = of, .sequence = sequence});
    }

    test::TemporaryDirectory directory;
    std::filesystem::path path = directory / "station.db";
    Store store{path};
};

TEST_F(IntroductionStore, A34_KeepsEverythingButTheNumber)
{
    const auto code = issue_transaction_number(store,
                                               {.chip = chip,
                                                .identity = pki::DeviceIdentity{"serial", "SN7"},
                                                .valid = 1h,
                                                .issuer = "anna",
                                                .reason = "bench 3"},
                                               start);
    const auto kept = store.introduction(code.selector).value();
    EXPECT_EQ(kept.kind, IntroductionKind::transaction_number);
    EXPECT_TRUE(equal(kept.verifier.view(), verifier_of(code).view()));
    EXPECT_EQ(kept.chip, chip);
    EXPECT_EQ(kept.identity, (pki::DeviceIdentity{"serial", "SN7"}));
    EXPECT_EQ(kept.issued, start);
    EXPECT_EQ(kept.expires, start + 1h);
    EXPECT_EQ(kept.issuer, "anna");
    EXPECT_EQ(kept.reason, "bench 3");
    EXPECT_EQ(kept.state, IntroductionState::open);

    const auto audited = store.audit_log().back();
    EXPECT_EQ(audited.event, "introduction-issued");
    EXPECT_EQ(audited.chip, chip);
    EXPECT_EQ(audited.peer, "anna");
    EXPECT_THAT(audited.detail, ::testing::HasSubstr(code.selector));
}

TEST_F(IntroductionStore, Attack26_TheNumberStandsNowhereInTheDatabase)
{
    auto transaction = store.begin();
    const auto number = issue_transaction_number(store, {}, start);
    const auto ticket = issue_ticket(store, {.chip = chip}, start);
    transaction.commit();
    std::string all;
    for (const auto& file : std::filesystem::directory_iterator(directory.path()))
        all += to_string(read_file(file.path(), 1 << 26).value());
    EXPECT_NE(all.find(number.selector), std::string::npos);
    EXPECT_EQ(all.find(as_text(number.secret.view())), std::string::npos);
    EXPECT_EQ(all.find(as_text(ticket.secret.view())), std::string::npos);
    EXPECT_EQ(all.find(hex(ticket.secret.view())), std::string::npos);
}

TEST_F(IntroductionStore, A38_IsGoodForOneChipUntilItsRecordIsHere)
{
    const auto selector = issue({});
    EXPECT_TRUE(usable(selector, chip));
    EXPECT_TRUE(usable(selector, other));
    store.burn_introduction(selector, chip, 3, start);
    EXPECT_EQ(usable(selector, other).refusal().reason, Reason::transaction_number_used);
    // The Grant was lost on the way: also after a day, and in a later epoch.
    EXPECT_TRUE(usable(selector, chip, start + 48h));
    store.burn_introduction(selector, chip, 5, start + 1s);
    EXPECT_TRUE(usable(selector, chip));
    add_record(chip, 5);
    EXPECT_EQ(usable(selector, chip).refusal().reason, Reason::transaction_number_used);
    const auto kept = store.introduction(selector).value();
    EXPECT_EQ(kept.used_by, chip);
    EXPECT_EQ(kept.used, start + 1s);
    EXPECT_EQ(kept.sequence, 5U);
    EXPECT_TRUE(kept.recorded);
}

TEST_F(IntroductionStore, A38_TheDatabaseItselfKeepsABurntOneFromAnotherChip)
{
    const auto selector = issue({});
    store.burn_introduction(selector, chip, 3, start);
    EXPECT_THROW(store.burn_introduction(selector, other, 3, start), SQLite::Exception);
    SQLite::Database raw(path.string(), SQLite::OPEN_READWRITE);
    EXPECT_THROW(raw.exec("UPDATE introductions SET state = 'open'"), SQLite::Exception);
    EXPECT_THROW(raw.exec("DELETE FROM introductions"), SQLite::Exception);
}

TEST_F(IntroductionStore, A34_ExpiredRevokedAndForeignOnesHaveTheirOwnReasons)
{
    const auto selector = issue({.chip = chip, .valid = 60s});
    EXPECT_TRUE(usable(selector, chip, start + 59s));
    EXPECT_EQ(usable(selector, chip, start + 60s).refusal().reason, Reason::transaction_number_expired);
    EXPECT_EQ(usable(selector, other).refusal().reason, Reason::transaction_number_foreign);
    EXPECT_TRUE(store.revoke_introduction(selector));
    EXPECT_EQ(usable(selector, chip).refusal().reason, Reason::transaction_number_expired);
    EXPECT_FALSE(store.revoke_introduction(selector));
    EXPECT_FALSE(store.revoke_introduction("0000000"));
}

TEST_F(IntroductionStore, RevokingEndsALostGrantsSecondTryButNotARecordedOne)
{
    const auto lost = issue({});
    store.burn_introduction(lost, chip, 3, start);
    EXPECT_TRUE(store.revoke_introduction(lost));
    EXPECT_EQ(usable(lost, chip).refusal().reason, Reason::transaction_number_expired);
    const auto recorded = issue({});
    store.burn_introduction(recorded, chip, 5, start);
    add_record(chip, 5);
    EXPECT_FALSE(store.revoke_introduction(recorded));
}

TEST_F(IntroductionStore, ListsAllWithoutTheirVerifiers)
{
    const auto first = issue({});
    const auto ticket = issue_ticket(store, {.chip = chip}, start + 1s).selector;
    const auto all = store.introductions();
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].selector, first);
    EXPECT_EQ(all[1].selector, ticket);
    EXPECT_EQ(all[1].kind, IntroductionKind::ticket);
    EXPECT_TRUE(all[0].verifier.empty());
}

TEST_F(IntroductionStore, WhatCouldNeverBeUsedIsNotGivenOut)
{
    EXPECT_EQ(reason_of([&] { issue_ticket(store, {}, start); }), Reason::invalid_argument);
    for (const auto& bad : {Terms{.chip = "A"}, Terms{.valid = 0s}, Terms{.valid = max_valid + 1s}, Terms{.issuer = ""},
                            Terms{.reason = "two\nlines"}, Terms{.identity = pki::DeviceIdentity{"serial", ""}}})
        EXPECT_EQ(reason_of([&] { issue(bad); }), Reason::invalid_argument);

    add_record(chip, 3); // as SN1
    const pki::DeviceIdentity its{"serial", "SN1"};
    EXPECT_EQ(reason_of([&] { issue({.chip = other, .identity = its}); }), Reason::identity_taken);
    EXPECT_EQ(reason_of([&] {
                  issue({.chip = chip, .identity = pki::DeviceIdentity{"serial", "SN2"}});
              }),
              Reason::identity_taken);
    EXPECT_NO_THROW(issue({.chip = chip, .identity = its}));
    EXPECT_NO_THROW(issue({.identity = its}));
    EXPECT_EQ(store.introductions().size(), 2U);
}

TEST_F(IntroductionStore, ARangeDoesNotGiveAwayWhatWasPromised)
{
    store.add_range({.prefix = "SN", .width = 1, .first = 1, .last = 3});
    issue({.identity = pki::DeviceIdentity{"serial", "SN1"}});
    EXPECT_EQ(store.assign_identity(chip).or_throw().value, "SN2");
}

} // namespace

} // namespace imprint::station
