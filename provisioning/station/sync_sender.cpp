// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/sync_sender.h"

#include "provisioning/station/sync_judgement.h"

namespace imprint::station {

namespace {

using protocol::SyncOutcome;

constexpr std::size_t offered_at_once = 1000; // records, and as many introductions: about 200 KiB
constexpr std::size_t enough = 512 * 1024; // bytes in a batch; one more item of any kind still fits

Refusal out_of_order() { return {Reason::unexpected_message, "the station sent a message out of order"}; }

} // namespace

SyncSender::SyncSender(Store& store, bool dry_run)
    : store_(store)
    , dry_run_(dry_run)
    , records_(store.record_names())
{
    for (auto& entry : store.introductions())
        if (entry.state == IntroductionState::used)
            uses_.push_back(std::move(entry));
}

Bytes SyncSender::next()
{
    if (offering_)
        return offer();
    return dry_run_ ? Bytes{} : batch();
}

Bytes SyncSender::offer()
{
    protocol::SyncMessage message;
    auto& offer = *message.mutable_offer();
    offer.set_database(store_.database_id());
    offered_records_.clear();
    offered_uses_.clear();
    for (; next_record_ < records_.size() && offered_records_.size() < offered_at_once; ++next_record_) {
        const auto& record = offered_records_.emplace_back(std::move(records_[next_record_]));
        auto& name = *offer.add_records();
        name.set_chip_identifier(record.chip);
        name.set_sequence(record.sequence);
        name.set_content_digest(to_string(record.content_digest));
    }
    for (; next_use_ < uses_.size() && offered_uses_.size() < offered_at_once; ++next_use_) {
        const auto& use = offered_uses_.emplace_back(std::move(uses_[next_use_]));
        auto& name = *offer.add_uses();
        name.set_selector(use.selector);
        name.set_chip_identifier(use.used_by);
        name.set_sequence(use.sequence);
    }
    return protocol::serialize(message);
}

SyncSender::Item SyncSender::item_of(const RecordEntry& record)
{
    return {"record", record.chip + " " + std::to_string(record.sequence), [this, record](protocol::SyncItem& item) {
                const auto whole = store_.record(record.chip, record.sequence).value();
                const auto grant = store_.received_grant(record.chip, record.sequence);
                item.mutable_record()->set_record(to_string(whole.record));
                item.mutable_record()->set_module_certificate(to_string(grant.value().module_certificate));
                item.mutable_record()->set_time(seconds(whole.time));
            }};
}

SyncSender::Item SyncSender::item_of(const IntroductionEntry& use)
{
    protocol::SyncUse message;
    message.set_selector(use.selector);
    message.set_kind(std::string(name(use.kind)));
    message.set_chip_identifier(use.used_by);
    message.set_sequence(use.sequence);
    message.set_used(seconds(use.used));
    message.set_issued(seconds(use.issued));
    message.set_expires(seconds(use.expires));
    message.set_issuer(use.issuer);
    message.set_reason(use.reason);
    return {"introduction", use.selector, [message](protocol::SyncItem& item) { *item.mutable_use() = message; }};
}

SyncSender::Item SyncSender::item_of(const NumberedAudit& audit)
{
    const auto message = message_of(audit);
    return {"audit", std::to_string(audit.id),
            [message](protocol::SyncItem& item) { *item.mutable_audit() = message; }};
}

Bytes SyncSender::batch()
{
    protocol::SyncMessage message;
    auto& batch = *message.mutable_batch();
    batch.set_database(store_.database_id());
    sent_.clear();
    if (waiting_.empty())
        queue_audit();
    while (!waiting_.empty() && batch.items_size() < protocol::max_sync_items && message.ByteSizeLong() < enough) {
        waiting_.front().fill(*batch.add_items());
        sent_.push_back(std::move(waiting_.front()));
        waiting_.pop_front();
    }
    return sent_.empty() ? Bytes{} : protocol::serialize(message);
}

Verdict SyncSender::take(BytesView answer)
{
    const auto message = protocol::parse_sync(answer);
    if (!message)
        return message.refusal();
    if (message->has_refused())
        return protocol::refusal_of(message->refused());
    if (offering_ && message->has_wanted())
        return take_wanted(message->wanted());
    if (!offering_ && message->has_answers())
        return take_answers(message->answers());
    return out_of_order();
}

Verdict SyncSender::take_wanted(const protocol::SyncWanted& wanted)
{
    // Introductions first: what was used here has to be refused there as soon as can be.
    for (const auto place : wanted.uses()) {
        if (place >= offered_uses_.size())
            return out_of_order();
        waiting_.push_front(item_of(offered_uses_[place]));
        ++total_.introductions;
    }
    for (const auto place : wanted.records()) {
        if (place >= offered_records_.size())
            return out_of_order();
        waiting_.push_back(item_of(offered_records_[place]));
        ++total_.records;
    }
    offering_ = next_record_ < records_.size() || next_use_ < uses_.size();
    if (!offering_)
        want_audit(wanted);
    return accepted();
}

// Where the newest entry that is there is not ours, the database is not the one that it was (a copy of it was put
// back): everything is sent, and what differs becomes a conflict there.
void SyncSender::want_audit(const protocol::SyncWanted& wanted)
{
    const auto ours = store_.own_audit(wanted.audit_known(), 1);
    const bool same = !ours.empty() && to_string(digest_of(message_of(ours.front()))) == wanted.audit_digest();
    next_audit_ = same ? wanted.audit_known() + 1 : 1;
    total_.audit = store_.count_own_audit(next_audit_);
}

void SyncSender::queue_audit()
{
    for (const auto& audit : store_.own_audit(next_audit_, protocol::max_sync_items)) {
        waiting_.push_back(item_of(audit));
        next_audit_ = audit.id + 1;
    }
}

Verdict SyncSender::take_answers(const protocol::SyncAnswers& answers)
{
    if (static_cast<std::size_t>(answers.answers_size()) != sent_.size())
        return out_of_order();
    for (std::size_t i = 0; i < sent_.size(); ++i) {
        const auto& answer = answers.answers(static_cast<int>(i));
        const auto outcome = static_cast<SyncOutcome>(answer.outcome());
        if (outcome == SyncOutcome::taken || outcome == SyncOutcome::known) {
            ++(outcome == SyncOutcome::taken ? total_.taken : total_.known);
            continue;
        }
        protocol::Refused why;
        why.set_reason(answer.reason());
        why.set_detail(answer.detail());
        total_.troubles.push_back({outcome, sent_[i].kind, sent_[i].name, protocol::refusal_of(why)});
    }
    return accepted();
}

} // namespace imprint::station
