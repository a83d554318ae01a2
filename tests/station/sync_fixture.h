// SPDX-License-Identifier: Apache-2.0
// A mobile unit and the main station in memory, each with its database on disk.
#pragma once

#include "provisioning/protocol/sync_messages.h"
#include "provisioning/station/crl.h"
#include "provisioning/station/introductions.h"
#include "provisioning/station/sync_receiver.h"
#include "provisioning/station/sync_sender.h"
#include "provisioning/station/sync_statements.h"
#include "tests/station/fixture.h"

namespace imprint::test {

using protocol::SyncOutcome;
using station::SyncTotal;

// `store` is the mobile unit's.
class Sync : public OneDevice {
protected:
    Sync() { main.add_range({.prefix = "SN", .width = 6, .first = 1, .last = 1000}); }

    station::SyncReceiver receiver(const std::string& unit = "Station 1")
    {
        return {main, std::make_shared<const pki::Trust>(pki.trust()), unit, "test"};
    }
    std::function<protocol::SyncRevocations()> list()
    {
        return [this] {
            return station::message_of(station::write_crl(directory / "crl.pem", station.credentials, store, now),
                                       station.credentials.signing);
        };
    }
    SyncTotal sync(const std::string& unit = "Station 1", bool dry_run = false)
    {
        station::SyncSender sender(store, dry_run, list());
        auto other = receiver(unit);
        for (Bytes message = sender.next(); !message.empty(); message = sender.next())
            EXPECT_TRUE(sender.take(other.receive(message, now).message, now));
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
        EXPECT_EQ(listed[0].station, "Station 1");
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

} // namespace imprint::test
