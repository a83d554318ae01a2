// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/sync_receiver.h"

#include "daemon/structures/name.h"
#include "provisioning/station/sync_statements.h"

namespace imprint::station {

using protocol::SyncOutcome;

SyncReceiver::SyncReceiver(Store& store, std::shared_ptr<const pki::Trust> trust, std::string unit, std::string peer)
    : store_(store)
    , trust_(std::move(trust))
    , unit_(std::move(unit))
    , peer_(std::move(peer))
{
}

SyncReply SyncReceiver::receive(BytesView bytes, pki::Time now)
{
    const auto fail = [&](const Refusal& why) { return refuse({why.reason, "the station could not go on"}, why, now); };
    try {
        const auto message = protocol::parse_sync(bytes);
        if (!message)
            return reject(message.refusal(), now);
        if (message->has_offer())
            return on_offer(message->offer());
        if (message->has_batch())
            return on_batch(message->batch(), now);
        return reject({Reason::unexpected_message, "neither an offer nor a batch"}, now);
    } catch (const Error& e) {
        return fail(e.refusal());
    } catch (const SQLite::Exception& e) {
        return fail({Reason::storage_failed, e.what()});
    } catch (const std::exception& e) {
        return fail({Reason::internal, e.what()});
    }
}

SyncReply SyncReceiver::on_offer(const protocol::SyncOffer& offer)
{
    protocol::SyncMessage message;
    auto& wanted = *message.mutable_wanted();
    const Origin origin{unit_, offer.database()};
    wanted.set_audit_known(store_.newest_audit_of(origin));
    if (const auto newest = store_.audit_of(origin, wanted.audit_known()))
        wanted.set_audit_digest(to_string(digest_of(message_of({wanted.audit_known(), *newest}))));
    for (int i = 0; i < offer.records_size(); ++i)
        if (!has(store_, offer.records(i)))
            wanted.add_records(static_cast<std::uint32_t>(i));
    for (int i = 0; i < offer.uses_size(); ++i)
        if (!has(store_, offer.uses(i)))
            wanted.add_uses(static_cast<std::uint32_t>(i));
    for (int i = 0; i < offer.replacements_size(); ++i)
        if (!has(store_, offer.replacements(i)))
            wanted.add_replacements(static_cast<std::uint32_t>(i));
    for (auto& serial : to_be_revoked(store_, unit_))
        if (wanted.revoked_size() < protocol::max_revoked)
            wanted.add_revoked(std::move(serial));
    return {.message = protocol::serialize(message)};
}

SyncReply SyncReceiver::on_batch(const protocol::SyncBatch& batch, pki::Time now)
{
    SyncReply reply;
    protocol::SyncMessage message;
    auto& answers = *message.mutable_answers();
    auto transaction = store_.begin();
    for (const auto& item : batch.items()) {
        const Judgement judged = judge(store_, *trust_, {unit_, batch.database()}, item);
        keep(judged, item, reply, now);
        auto& answer = *answers.add_answers();
        answer.set_outcome(static_cast<std::uint32_t>(judged.outcome));
        if (judged.outcome != SyncOutcome::conflict && judged.outcome != SyncOutcome::refused)
            continue;
        const auto why = protocol::refused(judged.why).refused(); // cut to its size
        answer.set_reason(why.reason());
        answer.set_detail(why.detail());
    }
    for (const auto& audited : reply.audit)
        store_.audit(audited);
    transaction.commit();
    reply.message = protocol::serialize(message);
    return reply;
}

// A conflict is listed, with what it is about, until nothing stands in the way of the same thing any more.
void SyncReceiver::keep(const Judgement& judged, const protocol::SyncItem& item, SyncReply& reply, pki::Time now)
{
    const Bytes content = protocol::serialize(item);
    const Bytes digest = structures::digest(TPM2_ALG_SHA256, content);
    switch (judged.outcome) {
    case SyncOutcome::taken:
        take(judged, item, reply, now);
        [[fallthrough]];
    case SyncOutcome::known:
        return store_.settle_conflict(unit_, digest);
    case SyncOutcome::conflict:
        if (store_.add_conflict({now, unit_, judged.kind, judged.name, std::string(name(judged.why.reason)),
                                 judged.why.detail, digest, content}))
            reply.audit.push_back(entry("sync-conflict", judged, now));
        return;
    case SyncOutcome::refused:
        reply.audit.push_back(entry("sync-refused", judged, now));
        return;
    }
}

void SyncReceiver::take(const Judgement& judged, const protocol::SyncItem& item, SyncReply& reply, pki::Time now)
{
    const bool delivered = item.has_record() || item.has_replacement();
    if (delivered)
        reply.audit.push_back(entry("synchronized", judged, now));
    for (const auto& serial : judged.revoked)
        reply.audit.push_back(
            {.time = now,
             .event = "revoked",
             .chip = judged.chip,
             .peer = peer_,
             .detail = "module certificate " + serial + ": " + judged.kind + " from station " + unit_});
    reply.record_stored = reply.record_stored || delivered;
    reply.revoked = reply.revoked || item.has_revocations() || !judged.revoked.empty();
}

AuditEntry SyncReceiver::entry(const std::string& event, const Judgement& judged, pki::Time now) const
{
    const bool good = judged.outcome == SyncOutcome::taken;
    return {.time = now,
            .event = event,
            .chip = judged.chip,
            .peer = peer_,
            .reason = good ? "" : std::string(name(judged.why.reason)),
            .detail = judged.kind + (judged.name.empty() ? "" : " " + judged.name) + " from station " + unit_ +
                (good ? "" : ": " + judged.why.detail)};
}

SyncReply SyncReceiver::reject(const Refusal& why, pki::Time now) { return refuse(why, why, now); }

SyncReply SyncReceiver::refuse(const Refusal& to_peer, const Refusal& to_audit, pki::Time now)
{
    AuditEntry audited{.time = now,
                       .event = "refused",
                       .peer = peer_,
                       .reason = std::string(name(to_audit.reason)),
                       .detail = "synchronization of station " + unit_ + ": " + to_audit.detail};
    try {
        store_.audit(audited);
    } catch (const SQLite::Exception& e) { // the journal still gets the entry
        audited.detail += std::string(" (not in the audit log: ") + e.what() + ")";
    }
    SyncReply reply{.message = protocol::serialize(protocol::sync_refused(to_peer)), .last = true};
    reply.audit.push_back(std::move(audited));
    return reply;
}

} // namespace imprint::station
