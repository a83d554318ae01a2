// SPDX-License-Identifier: Apache-2.0
// What a mobile unit brings home: everything once, and conflicts kept.
#include "tests/station/sync_fixture.h"

#include "provisioning/station/commands.h"

namespace imprint::test {

namespace {

TEST_F(Sync, A33_EverythingArrivesOnce)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    device.move_on();
    ASSERT_TRUE(is_receipt(personalize(device)));
    const auto selector = issue(store);
    store.burn_introduction(selector, device.chip(), device.epoch() + 1, now);
    const auto own = rows("audit");

    const auto asked = sync("Station 1", true);
    EXPECT_EQ(asked.records, 2U);
    EXPECT_EQ(asked.introductions, 1U);
    EXPECT_EQ(asked.audit, static_cast<std::size_t>(own));
    EXPECT_EQ(rows_at_main("records"), 0) << "a dry run changes nothing";

    const auto total = sync();
    EXPECT_EQ(total.taken, total.missing());
    EXPECT_EQ(total.taken, asked.missing());
    EXPECT_TRUE(total.troubles.empty());
    EXPECT_EQ(main.record(device.chip(), device.epoch() + 1)->record,
              store.record(device.chip(), device.epoch() + 1)->record);
    EXPECT_EQ(main.outbox(false).size(), 2U) << "on their way to the archive";
    EXPECT_EQ(main.chip(device.chip())->identity, store.chip(device.chip())->identity);
    EXPECT_TRUE(main.received_grant(device.chip(), device.epoch() + 1));
    EXPECT_EQ(main.introduction(selector)->used_by, device.chip());
    EXPECT_EQ(rows_at_main("audit", "origin = 'Station 1'"), own);
    EXPECT_EQ(rows_at_main("audit", "event = 'synchronized'"), 2);

    const auto again = sync();
    EXPECT_EQ(again.missing(), 0U);
    EXPECT_EQ(rows_at_main("records"), 2);
    EXPECT_EQ(rows_at_main("outbox"), 2);
    EXPECT_EQ(rows_at_main("audit", "origin = 'Station 1'"), own);
}

// The device goes on at the main station as one that is known.
TEST_F(Sync, A33_ADeviceFromTheFieldIsKnownAtHome)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    sync();
    device.move_on();
    personalize_at_main(device);
    EXPECT_EQ(main.chip(device.chip())->newest_sequence, device.epoch() + 1);
    device.identity_certificate.clear();
    device.move_on();
    DeviceSide side(device, binding);
    station::StationSession conversation(station, main, introductions, {binding, "test", required});
    EXPECT_EQ(refusal(conversation.receive(side.send_hello(side.hello()), now)), Reason::chip_already_known);
}

TEST_F(Sync, InterruptedAfterEveryMessageItGoesOn)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    for (int messages = 1; messages < 4; ++messages) {
        station::SyncSender sender(store, false, list());
        auto other = receiver();
        for (int i = 0; i < messages; ++i) {
            const Bytes message = sender.next();
            if (message.empty())
                break;
            const auto reply = other.receive(message, now);
            if (i + 1 < messages) { // the last answer is lost
                EXPECT_TRUE(sender.take(reply.message, now));
            }
        }
    }
    EXPECT_EQ(sync().missing(), 0U);
    EXPECT_EQ(rows_at_main("records"), 1);
    EXPECT_EQ(rows_at_main("audit", "origin = 'Station 1'"), rows("audit"));
}

TEST_F(Sync, ManyAuditEntriesGoInBatches)
{
    constexpr int many = 700;
    auto transaction = store.begin();
    for (int i = 0; i < many; ++i)
        store.audit({.time = now, .event = "refused", .peer = "serial:/dev/ttyUSB0", .detail = std::to_string(i)});
    transaction.commit();
    EXPECT_EQ(sync().taken, static_cast<std::size_t>(many));
    EXPECT_EQ(rows_at_main("audit", "origin = 'Station 1'"), many);
}

TEST_F(Sync, AnotherRecordOfTheSequenceIsAConflict)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    device.identity_certificate.clear();
    personalize_at_main(device);
    expect_conflict(sync(), "record", Reason::sequence_taken);
    EXPECT_EQ(rows("records"), 1);
    EXPECT_NE(main.record(device.chip(), device.epoch() + 1)->record,
              store.record(device.chip(), device.epoch() + 1)->record);
}

TEST_F(Sync, Attack05_AnIdentityOfAnotherChipIsAConflict)
{
    HonestDevice other;
    ASSERT_TRUE(is_receipt(personalize(device)));
    personalize_at_main(other); // the same first number of the range
    expect_conflict(sync(), "record", Reason::identity_taken);
    EXPECT_FALSE(main.chip(device.chip()));
}

TEST_F(Sync, AnotherIdentityOfTheChipIsAConflict)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    const auto chip = store.chip(device.chip()).value();
    const auto certificate = pki::Certificate::from_der(chip.identity_certificate).or_throw();
    ASSERT_TRUE(main.add_chip({.id = chip.id,
                               .identity = {"serial", "OTHER"},
                               .identity_certificate = chip.identity_certificate,
                               .first_granted = now},
                              certificate.spki()));
    expect_conflict(sync(), "record", Reason::identity_taken);
}

TEST_F(Sync, Attack05_AnotherIdentityKeyIsAConflict)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    const auto other = pki.identity("SN000001", device.chip()).certificate;
    ASSERT_TRUE(main.add_chip({.id = device.chip(),
                               .identity = {"serial", "SN000001"},
                               .identity_certificate = other.der(),
                               .first_granted = now},
                              other.spki()));
    expect_conflict(sync(), "record", Reason::key_mismatch);
}

TEST_F(Sync, Attack05_AnIdentityKeyOfAnotherChipIsAConflict)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    const auto chip = store.chip(device.chip()).value();
    const auto certificate = pki::Certificate::from_der(chip.identity_certificate).or_throw();
    const std::string other(64, 'b');
    ASSERT_TRUE(main.add_chip({.id = other,
                               .identity = {"serial", "OTHER"},
                               .identity_certificate = chip.identity_certificate,
                               .first_granted = now},
                              certificate.spki()));
    expect_conflict(sync(), "record", Reason::chip_already_known);
}

// ... until the operator ends it: then the record is taken, and the conflict is settled.
TEST_F(Sync, AChipInQuarantineIsAConflict)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    main.quarantine(device.chip(), "stolen");
    expect_conflict(sync(), "record", Reason::chip_quarantined);
    main.release(device.chip());
    EXPECT_TRUE(sync().troubles.empty());
    EXPECT_TRUE(main.conflicts().empty());
    EXPECT_EQ(rows_at_main("conflicts"), 1) << "but not forgotten";
    EXPECT_EQ(rows_at_main("records"), 1);
}

TEST_F(Sync, B19_ALateRecordOfAReplacedChipIsAConflict)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    sync();
    device.move_on();
    ASSERT_TRUE(is_receipt(personalize(device)));
    station::replace_chip(main, station.credentials, directory.path(), {device.chip(), std::string(64, 'b'), "broken"});
    expect_conflict(sync(), "record", Reason::chip_replaced);
}

TEST_F(Sync, Attack05_AnIdentityThatGoesOnWithAnotherChipIsAConflict)
{
    personalize_at_main(device); // SN000001
    HonestDevice second;
    trust(second);
    ASSERT_TRUE(is_receipt(personalize(second))); // the same in the field
    station::replace_chip(main, station.credentials, directory.path(), {device.chip(), std::string(64, 'b'), "broken"});
    expect_conflict(sync(), "record", Reason::identity_taken);
}

TEST_F(Sync, A38_AnIntroductionUsedAtTwoUnitsIsAConflict)
{
    const auto selector = issue(main);
    add_same(store, main.introduction(selector).value());
    store.burn_introduction(selector, device.chip(), 3, now);
    main.burn_introduction(selector, std::string(64, 'c'), 5, now);
    expect_conflict(sync(), "introduction", Reason::transaction_number_used);
    EXPECT_EQ(main.introduction(selector)->used_by, std::string(64, 'c'));
}

TEST_F(Sync, A38_WhatWasUsedInTheFieldIsRefusedAtHome)
{
    const auto selector = issue(main);
    add_same(store, main.introduction(selector).value());
    store.burn_introduction(selector, device.chip(), 3, now);
    EXPECT_TRUE(sync().troubles.empty());
    const auto there = main.introduction(selector).value();
    EXPECT_EQ(there.state, station::IntroductionState::used);
    const auto usable = station::usable_by(there, std::string(64, 'c'), now);
    ASSERT_FALSE(usable);
    EXPECT_EQ(usable.refusal().reason, Reason::transaction_number_used);
}

TEST_F(Sync, AnIntroductionThatWasRevokedAtHomeIsAConflict)
{
    const auto selector = issue(main);
    add_same(store, main.introduction(selector).value());
    store.burn_introduction(selector, device.chip(), 3, now);
    ASSERT_TRUE(main.revoke_introduction(selector));
    expect_conflict(sync(), "introduction", Reason::transaction_number_used);
}

TEST_F(Sync, AnIntroductionForAnotherChipIsAConflict)
{
    station::IntroductionEntry entry;
    entry.selector = "7Q2MX11";
    entry.verifier = random_secret(32);
    entry.issued = entry.expires = now;
    add_same(store, entry);
    store.burn_introduction(entry.selector, device.chip(), 3, now);
    entry.chip = std::string(64, 'd');
    ASSERT_TRUE(main.add_introduction(entry));
    expect_conflict(sync(), "introduction", Reason::transaction_number_foreign);
}

// An older copy of the unit's database was put back, and went on from there.
TEST_F(Sync, AnotherHistoryOfTheUnitIsSeen)
{
    const auto note = [this](const std::string& detail) {
        store.audit({.time = now, .event = "note", .peer = "operator", .detail = detail});
    };
    note("one");
    const auto copy = directory / "copy.db";
    SQLite::Database((directory / "station.db").string(), SQLite::OPEN_READWRITE)
        .exec("VACUUM INTO '" + copy.string() + "'");
    note("two");
    EXPECT_EQ(sync().taken, 2U);
    station::Store restored(copy);
    restored.audit({.time = now, .event = "note", .peer = "operator", .detail = "another two"});
    restored.audit({.time = now, .event = "note", .peer = "operator", .detail = "three"});
    station::SyncSender sender(restored, false, list());
    auto other = receiver();
    for (Bytes message = sender.next(); !message.empty(); message = sender.next())
        ASSERT_TRUE(sender.take(other.receive(message, now).message, now));
    EXPECT_EQ(sender.total().known, 1U);
    EXPECT_EQ(sender.total().taken, 1U);
    ASSERT_EQ(sender.total().troubles.size(), 1U);
    EXPECT_EQ(sender.total().troubles[0].why.reason, Reason::sync_conflict);
    ASSERT_EQ(main.conflicts().size(), 1U);
    EXPECT_EQ(main.conflicts()[0].kind, "audit");
}

TEST_F(Sync, AUnitThatWasSetUpAnewBeginsAnew)
{
    store.audit({.time = now, .event = "note", .peer = "operator", .detail = "one"});
    EXPECT_EQ(sync().taken, 1U);
    station::Store fresh(directory / "fresh.db");
    fresh.audit({.time = now, .event = "note", .peer = "operator", .detail = "another one"});
    station::SyncSender sender(fresh, false, list());
    auto other = receiver();
    for (Bytes message = sender.next(); !message.empty(); message = sender.next())
        ASSERT_TRUE(sender.take(other.receive(message, now).message, now));
    EXPECT_EQ(sender.total().taken, 1U);
    EXPECT_EQ(rows_at_main("audit", "origin = 'Station 1'"), 2);
}

} // namespace

} // namespace imprint::test
