// SPDX-License-Identifier: Apache-2.0
// What a mobile unit brings home: everything once, conflicts kept, nothing that a hostile unit makes up.
#include "tests/station/fixture.h"

#include "backup/package/record.h"
#include "provisioning/protocol/sync_messages.h"
#include "provisioning/station/introductions.h"
#include "provisioning/station/sync_receiver.h"
#include "provisioning/station/sync_sender.h"

namespace imprint::test {

namespace {

using protocol::SyncOutcome;
using station::SyncTotal;

// `store` is the mobile unit's.
class Sync : public OneDevice {
protected:
    Sync() { main.add_range({.prefix = "SN", .width = 6, .first = 1, .last = 1000}); }

    station::SyncReceiver receiver(const std::string& unit = "laptop")
    {
        return {main, std::make_shared<const pki::Trust>(pki.trust()), unit, "test"};
    }
    SyncTotal sync(const std::string& unit = "laptop", bool dry_run = false)
    {
        station::SyncSender sender(store, dry_run);
        auto other = receiver(unit);
        for (Bytes message = sender.next(); !message.empty(); message = sender.next())
            EXPECT_TRUE(sender.take(other.receive(message, now).message));
        return sender.total();
    }
    // The same device, personalized at the main station.
    void personalize_at_main(HonestDevice& other)
    {
        main.allow({other.chip(), "test"});
        DeviceSide side(other, binding);
        station::StationSession conversation(station, main, introductions, {binding, "test", required});
        const auto challenge = conversation.receive(side.send_hello(side.hello()), now);
        const auto grant = conversation.receive(bytes_of(side.proof(challenge.message)), now);
        ASSERT_TRUE(is_receipt(conversation.receive(bytes_of(side.backup(grant.message)), now)));
    }
    // The only trouble, which is listed; the unit keeps everything.
    void expect_conflict(const SyncTotal& total, const std::string& kind, Reason reason)
    {
        ASSERT_EQ(total.troubles.size(), 1U);
        EXPECT_EQ(total.troubles[0].outcome, SyncOutcome::conflict);
        EXPECT_EQ(total.troubles[0].kind, kind);
        EXPECT_EQ(name(total.troubles[0].why.reason), name(reason));
        const auto listed = main.conflicts();
        ASSERT_EQ(listed.size(), 1U);
        EXPECT_EQ(listed[0].kind, kind);
        EXPECT_EQ(listed[0].reason, name(reason));
        EXPECT_EQ(listed[0].station, "laptop");
        EXPECT_FALSE(listed[0].content.empty());
        EXPECT_EQ(rows_at_main("audit", "event = 'sync-conflict'"), 1);
        const auto again = sync();
        EXPECT_EQ(again.troubles.size(), kind == "audit" ? 0U : 1U);
        EXPECT_EQ(main.conflicts().size(), 1U) << "listed once";
    }
    std::int64_t rows_at_main(const std::string& table, const std::string& condition = "1")
    {
        SQLite::Database reader((directory / "main.db").string());
        return reader.execAndGet("SELECT count(*) FROM " + table + " WHERE " + condition).getInt64();
    }
    // A transaction number that both know, used by this chip at one of them.
    static std::string issue(station::Store& at_store)
    {
        auto transaction = at_store.begin();
        const auto code = station::issue_transaction_number(at_store, {}, now);
        transaction.commit();
        return code.selector;
    }
    static void add_same(station::Store& at_store, const station::IntroductionEntry& entry)
    {
        station::IntroductionEntry same;
        same.selector = entry.selector;
        same.kind = entry.kind;
        same.verifier = entry.verifier.clone();
        same.issued = entry.issued;
        same.expires = entry.expires;
        same.issuer = entry.issuer;
        ASSERT_TRUE(at_store.add_introduction(same));
    }
    protocol::SyncBatch batch_of_one_record()
    {
        EXPECT_TRUE(is_receipt(personalize(device)));
        const auto record = store.record(device.chip(), device.epoch() + 1).value();
        protocol::SyncBatch batch;
        batch.set_database(store.database_id());
        auto& item = *batch.add_items()->mutable_record();
        item.set_record(to_string(record.record));
        item.set_module_certificate(
            to_string(store.received_grant(device.chip(), device.epoch() + 1)->module_certificate));
        item.set_time(1000);
        return batch;
    }
    Result<protocol::SyncMessage> send(const protocol::SyncBatch& batch)
    {
        protocol::SyncMessage message;
        *message.mutable_batch() = batch;
        return protocol::parse_sync(receiver().receive(protocol::serialize(message), now).message);
    }
    // The outcome of the first item, and why.
    std::pair<SyncOutcome, Reason> judged(const protocol::SyncBatch& batch)
    {
        const auto answer = send(batch).or_throw().answers().answers(0);
        return {static_cast<SyncOutcome>(answer.outcome()),
                reason_from_wire(answer.reason()).value_or(Reason::internal)};
    }

    station::Store main{directory / "main.db"};
};

TEST_F(Sync, A33_EverythingArrivesOnce)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    device.move_on();
    ASSERT_TRUE(is_receipt(personalize(device)));
    const auto selector = issue(store);
    store.burn_introduction(selector, device.chip(), device.epoch() + 1, now);
    const auto own = rows("audit");

    const auto asked = sync("laptop", true);
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
    EXPECT_EQ(rows_at_main("audit", "origin = 'laptop'"), own);
    EXPECT_EQ(rows_at_main("audit", "event = 'synchronized'"), 2);

    const auto again = sync();
    EXPECT_EQ(again.missing(), 0U);
    EXPECT_EQ(rows_at_main("records"), 2);
    EXPECT_EQ(rows_at_main("outbox"), 2);
    EXPECT_EQ(rows_at_main("audit", "origin = 'laptop'"), own);
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
        station::SyncSender sender(store, false);
        auto other = receiver();
        for (int i = 0; i < messages; ++i) {
            const Bytes message = sender.next();
            if (message.empty())
                break;
            const auto reply = other.receive(message, now);
            if (i + 1 < messages) { // the last answer is lost
                EXPECT_TRUE(sender.take(reply.message));
            }
        }
    }
    EXPECT_EQ(sync().missing(), 0U);
    EXPECT_EQ(rows_at_main("records"), 1);
    EXPECT_EQ(rows_at_main("audit", "origin = 'laptop'"), rows("audit"));
}

TEST_F(Sync, ManyAuditEntriesGoInBatches)
{
    constexpr int many = 700;
    auto transaction = store.begin();
    for (int i = 0; i < many; ++i)
        store.audit({.time = now, .event = "refused", .peer = "serial:/dev/ttyUSB0", .detail = std::to_string(i)});
    transaction.commit();
    EXPECT_EQ(sync().taken, static_cast<std::size_t>(many));
    EXPECT_EQ(rows_at_main("audit", "origin = 'laptop'"), many);
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
    station::SyncSender sender(restored, false);
    auto other = receiver();
    for (Bytes message = sender.next(); !message.empty(); message = sender.next())
        ASSERT_TRUE(sender.take(other.receive(message, now).message));
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
    station::SyncSender sender(fresh, false);
    auto other = receiver();
    for (Bytes message = sender.next(); !message.empty(); message = sender.next())
        ASSERT_TRUE(sender.take(other.receive(message, now).message));
    EXPECT_EQ(sender.total().taken, 1U);
    EXPECT_EQ(rows_at_main("audit", "origin = 'laptop'"), 2);
}

TEST_F(Sync, Attack44_ARecordThatWasChangedIsRefused)
{
    auto batch = batch_of_one_record();
    auto& record = *batch.mutable_items(0)->mutable_record()->mutable_record();
    record[record.size() / 2] ^= 1;
    EXPECT_EQ(judged(batch).first, SyncOutcome::refused);
    EXPECT_EQ(rows_at_main("records"), 0);
    EXPECT_EQ(rows_at_main("chips"), 0);
    EXPECT_TRUE(main.conflicts().empty());
    EXPECT_EQ(rows_at_main("audit", "event = 'sync-refused'"), 1);
}

TEST_F(Sync, Attack44_ARecordOfAForeignManufacturerIsRefused)
{
    auto batch = batch_of_one_record();
    const TestPki twin;
    station::SyncReceiver other(main, std::make_shared<const pki::Trust>(twin.trust()), "laptop", "test");
    protocol::SyncMessage message;
    *message.mutable_batch() = batch;
    const auto answer =
        protocol::parse_sync(other.receive(protocol::serialize(message), now).message).or_throw().answers().answers(0);
    EXPECT_EQ(answer.outcome(), static_cast<std::uint32_t>(SyncOutcome::refused));
    EXPECT_EQ(rows_at_main("records"), 0);
}

// The device's signature alone: what a unit could replay that was never countersigned.
TEST_F(Sync, Attack44_ARecordWithOneSignatureIsRefused)
{
    auto batch = batch_of_one_record();
    DeviceSide side(device, binding);
    device.move_on();
    auto conversation = session();
    const auto challenge = conversation.receive(side.send_hello(side.hello()), now);
    const auto grant = conversation.receive(bytes_of(side.proof(challenge.message)), now);
    batch.mutable_items(0)->mutable_record()->set_record(side.backup(grant.message).backup().record());
    EXPECT_EQ(judged(batch).first, SyncOutcome::refused);
}

TEST_F(Sync, Attack44_AModuleCertificateOfAnotherPersonalizationIsRefused)
{
    auto batch = batch_of_one_record();
    batch.mutable_items(0)->mutable_record()->set_module_certificate(
        to_string(pki.module("SN000001").certificate.der()));
    EXPECT_EQ(judged(batch), std::pair(SyncOutcome::refused, Reason::record_foreign));
}

// There is no place for another station's name: a unit speaks under the one in its certificate.
TEST_F(Sync, Attack44_AuditEntriesAreTheSendersOwn)
{
    store.audit({.time = now, .event = "granted", .peer = "x", .detail = "by me", .origin = "line-1"});
    sync("laptop");
    EXPECT_EQ(rows_at_main("audit", "origin = 'laptop'"), 1);
    EXPECT_EQ(rows_at_main("audit", "origin = 'line-1'"), 0);
    protocol::SyncMessage message;
    message.mutable_batch()->set_database(store.database_id());
    auto& audit = *message.mutable_batch()->add_items()->mutable_audit();
    audit.set_id(7);
    audit.set_event("granted");
    audit.mutable_unknown_fields()->append("\x42\x06line-1");
    const auto reply = receiver().receive(protocol::serialize(message), now);
    EXPECT_TRUE(reply.last);
    EXPECT_EQ(protocol::refusal_of(protocol::parse_sync(reply.message).or_throw().refused()).reason,
              Reason::malformed_message);
}

TEST_F(Sync, Attack17_BatchesAndItemsAreBounded)
{
    const auto refused = [this](const protocol::SyncBatch& batch) {
        const auto answer = send(batch).or_throw();
        return answer.has_refused() ? std::optional(protocol::refusal_of(answer.refused()).reason) : std::nullopt;
    };
    protocol::SyncBatch batch;
    batch.set_database(store.database_id());
    for (int i = 1; i <= protocol::max_sync_items + 1; ++i) {
        auto& audit = *batch.add_items()->mutable_audit();
        audit.set_id(static_cast<std::uint64_t>(i));
        audit.set_event("note");
    }
    EXPECT_EQ(refused(batch), Reason::message_too_large);
    batch.mutable_items()->RemoveLast();
    EXPECT_EQ(refused(batch), std::nullopt);
    batch.mutable_items(0)->mutable_audit()->set_time(INT64_MAX);
    EXPECT_EQ(refused(batch), Reason::malformed_message);
    batch.mutable_items(0)->mutable_audit()->set_time(0);
    batch.mutable_items(0)->mutable_audit()->set_id(1ULL << 63U);
    EXPECT_EQ(refused(batch), Reason::malformed_message);
    batch.mutable_items(0)->mutable_record()->set_record(std::string(300'000, 'x'));
    EXPECT_EQ(refused(batch), Reason::malformed_message);
    EXPECT_EQ(rows_at_main("audit", "origin = 'laptop'"), protocol::max_sync_items);
}

TEST_F(Sync, Attack17_NothingButOffersAndBatchesIsTaken)
{
    protocol::SyncMessage message;
    message.mutable_answers();
    const auto reply = receiver().receive(protocol::serialize(message), now);
    EXPECT_TRUE(reply.last);
    EXPECT_EQ(protocol::refusal_of(protocol::parse_sync(reply.message).or_throw().refused()).reason,
              Reason::unexpected_message);
    EXPECT_TRUE(receiver().receive(as_bytes("nonsense"), now).last);
    EXPECT_TRUE(receiver().receive({}, now).last);
}

// The other way round: a station that answers nonsense ends the synchronization, and nothing else.
TEST_F(Sync, Attack17_AStationThatAnswersNonsense)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    const auto answered = [&](const protocol::SyncMessage& message) {
        station::SyncSender sender(store, false);
        sender.next();
        const auto verdict = sender.take(protocol::serialize(message));
        return verdict ? std::nullopt : std::optional(verdict.refusal().reason);
    };
    protocol::SyncMessage message;
    message.mutable_wanted()->add_records(1);
    EXPECT_EQ(answered(message), Reason::unexpected_message);
    message.mutable_answers()->add_answers()->set_outcome(1);
    EXPECT_EQ(answered(message), Reason::unexpected_message);
    EXPECT_EQ(answered(protocol::sync_refused({Reason::storage_failed, "full"})), Reason::storage_failed);
}

} // namespace

} // namespace imprint::test
