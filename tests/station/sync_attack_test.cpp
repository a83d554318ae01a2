// SPDX-License-Identifier: Apache-2.0
// What a hostile mobile unit makes up is not taken, and a hostile main station ends nothing but the synchronization.
#include "provisioning/station/commands.h"
#include "tests/station/sync_fixture.h"

#include <nlohmann/json.hpp>

namespace imprint::test {

namespace {

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
    station::SyncReceiver other(main, std::make_shared<const pki::Trust>(twin.trust()), "Station 1", "test");
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

// Whatever byte is changed: a record gets in as it was, or not at all.
TEST_F(Sync, Attack17_AnyByteOfABatchChanged)
{
    constexpr std::size_t step = 41; // a prime: over the bytes of all fields
    protocol::SyncMessage message;
    *message.mutable_batch() = batch_of_one_record();
    const Bytes whole = protocol::serialize(message);
    const auto original = store.record(device.chip(), device.epoch() + 1)->record;
    for (std::size_t i = 0; i < whole.size(); i += step) {
        Bytes changed = whole;
        changed[i] ^= static_cast<std::uint8_t>(1U << i % 8);
        EXPECT_FALSE(receiver().receive(changed, now).message.empty()) << i;
        const auto there = main.record(device.chip(), device.epoch() + 1);
        EXPECT_TRUE(!there || there->record == original) << i;
    }
    EXPECT_LE(rows_at_main("records"), 1);
    EXPECT_TRUE(main.conflicts().empty());
}

// There is no place for another station's name: a unit speaks under the one in its certificate.
TEST_F(Sync, Attack44_AuditEntriesAreTheSendersOwn)
{
    store.audit({.time = now, .event = "granted", .peer = "x", .detail = "by me", .origin = "line-1"});
    sync("Station 1");
    EXPECT_EQ(rows_at_main("audit", "origin = 'Station 1'"), 1);
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

// A stolen laptop is believed what it did, and not more than that: it must not be able to make up the entries of
// others, nor blind whoever lists them.
TEST_F(Sync, Attack36_AUnitsWordsArePrintable)
{
    using Item = protocol::SyncItem;
    using Set = void (*)(Item&, const std::string&);
    constexpr std::array<Set, 7> changes{
        [](Item& item, const std::string& text) { item.mutable_audit()->set_event(text); },
        [](Item& item, const std::string& text) { item.mutable_audit()->set_chip(text); },
        [](Item& item, const std::string& text) { item.mutable_audit()->set_peer(text); },
        [](Item& item, const std::string& text) { item.mutable_audit()->set_reason(text); },
        [](Item& item, const std::string& text) { item.mutable_use()->set_selector(text); },
        [](Item& item, const std::string& text) { item.mutable_use()->set_issuer(text); },
        [](Item& item, const std::string& text) { item.mutable_use()->set_reason(text); },
    };
    const auto with = [&](std::size_t i, const std::string& text) {
        protocol::SyncBatch batch;
        batch.set_database(store.database_id());
        auto& item = *batch.add_items();
        changes[i](item, "7Q2MX11");
        if (item.has_audit()) {
            item.mutable_audit()->set_id(i + 1);
            item.mutable_audit()->set_event("granted");
        } else {
            item.mutable_use()->set_selector("7Q2MX1" + std::to_string(i));
            item.mutable_use()->set_kind("tan");
            item.mutable_use()->set_chip_identifier(std::string(64, 'a'));
            item.mutable_use()->set_sequence(3);
        }
        if (!text.empty())
            changes[i](item, text);
        return send(batch).or_throw().has_refused();
    };
    for (std::size_t i = 0; i < changes.size(); ++i) {
        EXPECT_FALSE(with(i, "")) << i;
        for (const auto* text : {"granted\n2031-01-01T00:00:00Z", "\x1b[2J", "\x7f", "\xff", "\xc2\x85"})
            EXPECT_TRUE(with(i, text)) << i << " " << hex(as_bytes(text));
    }
}

// A detail has the words of libraries and certificates, in any language: it is one entry wherever it is shown.
TEST_F(Sync, Attack36_WhateverAnEntryHoldsItIsShownAsOne)
{
    protocol::SyncBatch batch;
    batch.set_database(store.database_id());
    auto& audit = *batch.add_items()->mutable_audit();
    audit.set_id(1);
    audit.set_event("refused");
    audit.set_detail("Gr\xc3\xbc\xc3\x9f"
                     "e\n\x1b[2J\xff");
    EXPECT_EQ(judged(batch).first, SyncOutcome::taken);
    main.audit({.time = now, .event = "refused", .peer = "unix:/\n\xff", .detail = "x", .origin = ""});
    const auto shown = [&](bool json) {
        testing::internal::CaptureStdout();
        station::show_audit(main, json);
        return testing::internal::GetCapturedStdout();
    };
    const auto text = shown(false);
    EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(text, '\n')), main.audit_log().size());
    EXPECT_TRUE(std::ranges::all_of(text, [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); })) << text;
    EXPECT_EQ(nlohmann::json::parse(shown(true)).size(), main.audit_log().size());
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
    EXPECT_EQ(rows_at_main("audit", "origin = 'Station 1'"), protocol::max_sync_items);
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
        station::SyncSender sender(store, false, list());
        sender.next();
        const auto verdict = sender.take(protocol::serialize(message), now);
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
