// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/sync_sender.h"

#include "provisioning/station/sync_judgement.h"

namespace imprint::station {

namespace {

using protocol::SyncOutcome;

constexpr std::size_t offered_at_once = 1000; // records, and as many introductions: about 200 KiB
constexpr std::size_t enough = 512 * 1024; // bytes in a batch; one more item of any kind still fits

// Introductions first: what was used here has to be refused there as soon as can be. Then records and replacements as
// they came: a chip's records before it is replaced, and those of the one that takes its place after that.
constexpr std::int64_t first = 0;
constexpr auto list_kind = "revocations";
constexpr auto audit_kind = "audit";
std::int64_t place_of(const RecordEntry& record) { return 2 * record.place; }
std::int64_t place_of(const ReplacementEntry& replacement) { return 2 * replacement.place + 1; }

Refusal out_of_order() { return {Reason::unexpected_message, "the station sent a message out of order"}; }

} // namespace

SyncSender::SyncSender(Store& store, bool dry_run, std::function<protocol::SyncRevocations()> list)
    : store_(store)
    , dry_run_(dry_run)
    , list_(std::move(list))
    , records_(store.record_names())
    , replacements_(store.replacements())
{
    for (auto& entry : store.introductions())
        if (entry.state == IntroductionState::used)
            uses_.push_back(std::move(entry));
}

Bytes SyncSender::next()
{
    if (offering_)
        return offer();
    if (dry_run_)
        return {};
    Bytes message = batch();
    return message.empty() ? list() : message;
}

Bytes SyncSender::offer()
{
    protocol::SyncMessage message;
    auto& offer = *message.mutable_offer();
    offer.set_database(store_.database_id());
    offered_records_.clear();
    offered_uses_.clear();
    offered_replacements_.clear();
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
    for (; next_replacement_ < replacements_.size() && offered_replacements_.size() < offered_at_once;
         ++next_replacement_) {
        const auto& replacement = offered_replacements_.emplace_back(std::move(replacements_[next_replacement_]));
        auto& name = *offer.add_replacements();
        name.set_former(replacement.former);
        name.set_present(replacement.present);
    }
    return protocol::serialize(message);
}

SyncSender::Item SyncSender::item_of(const RecordEntry& record)
{
    const auto fill = [this, record](protocol::SyncItem& item) {
        const auto whole = store_.record(record.chip, record.sequence).value();
        const auto grant = store_.received_grant(record.chip, record.sequence).value();
        auto& message = *item.mutable_record();
        message.set_record(to_string(whole.record));
        message.set_module_certificate(to_string(grant.module_certificate));
        message.set_time(seconds(whole.time));
        if (const auto proof = store_.proof(record.chip, record.sequence))
            message.set_proof(to_string(*proof));
        for (auto& serial : store_.key_certificates(grant.serial))
            message.add_key_certificates(std::move(serial));
    };
    return {"record", record.chip + " " + std::to_string(record.sequence), fill, place_of(record)};
}

SyncSender::Item SyncSender::item_of(const ReplacementEntry& replacement)
{
    const auto fill = [statement = replacement.statement](protocol::SyncItem& item) {
        item.mutable_replacement()->set_statement(to_string(statement));
    };
    return {"replacement", replacement.former + " " + replacement.present, fill, place_of(replacement)};
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
    return {"introduction", use.selector, [message](protocol::SyncItem& item) { *item.mutable_use() = message; },
            first};
}

SyncSender::Item SyncSender::item_of(const NumberedAudit& audit)
{
    const auto message = message_of(audit);
    return {audit_kind, std::to_string(audit.id),
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

// It is no item of those that are counted: it is newer every time.
Bytes SyncSender::list()
{
    if (!list_ || store_.revoked().empty())
        return {};
    protocol::SyncMessage message;
    auto& batch = *message.mutable_batch();
    batch.set_database(store_.database_id());
    *batch.add_items()->mutable_revocations() = std::exchange(list_, nullptr)();
    sent_ = {{list_kind, {}, {}}};
    return protocol::serialize(message);
}

Verdict SyncSender::take(BytesView answer, pki::Time now)
{
    const auto message = protocol::parse_sync(answer);
    if (!message)
        return message.refusal();
    if (message->has_refused())
        return protocol::refusal_of(message->refused());
    if (offering_ && message->has_wanted())
        return take_wanted(message->wanted(), now);
    if (!offering_ && message->has_answers())
        return take_answers(message->answers());
    return out_of_order();
}

Verdict SyncSender::take_wanted(const protocol::SyncWanted& wanted, pki::Time now)
{
    const auto want = [this](const auto& places, const auto& offered, std::size_t& count) {
        for (const auto place : places) {
            if (place >= offered.size())
                return false;
            waiting_.push_back(item_of(offered[place]));
            ++count;
        }
        return true;
    };
    if (!want(wanted.uses(), offered_uses_, total_.introductions) ||
        !want(wanted.records(), offered_records_, total_.records) ||
        !want(wanted.replacements(), offered_replacements_, total_.replacements))
        return out_of_order();
    revoke(wanted, now);
    offering_ = next_record_ < records_.size() || next_use_ < uses_.size() || next_replacement_ < replacements_.size();
    if (!offering_) {
        std::ranges::stable_sort(waiting_, {}, &Item::place);
        want_audit(wanted);
    }
    return accepted();
}

// Whoever asks for it is the station that the operator named: what was granted here is revoked here, since nobody else
// can, and the list goes back to it at the end.
void SyncSender::revoke(const protocol::SyncWanted& wanted, pki::Time now)
{
    if (dry_run_ || wanted.revoked().empty())
        return;
    auto transaction = store_.begin();
    for (const auto& serial : store_.revoke_grants({wanted.revoked().begin(), wanted.revoked().end()}, now)) {
        store_.audit({.time = now,
                      .event = "revoked",
                      .detail = "module certificate " + serial + ", as the main station has it"});
        ++total_.revoked;
    }
    transaction.commit();
}

// Where the newest entry that is there is not ours, the database is not the one that it was (a copy of it was put
// back): everything is sent, and what differs becomes a conflict there.
void SyncSender::want_audit(const protocol::SyncWanted& wanted)
{
    const auto ours = store_.own_audit(wanted.audit_known(), 1);
    const bool same = !ours.empty() && to_string(digest_of(message_of(ours.front()))) == wanted.audit_digest();
    if (same && !dry_run_)
        store_.audit_is_synchronized(wanted.audit_known());
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
            if (sent_[i].kind != list_kind)
                ++(outcome == SyncOutcome::taken ? total_.taken : total_.known);
            if (sent_[i].kind == audit_kind)
                store_.audit_is_synchronized(std::stoull(sent_[i].name));
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
