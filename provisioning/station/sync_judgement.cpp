// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/sync_judgement.h"

#include "backup/package/record.h"
#include "daemon/structures/name.h"
#include "provisioning/station/proof.h"
#include "provisioning/station/sync_statements.h"

namespace imprint::station {

namespace {

using protocol::SyncOutcome;

// A record that holds: opened, and the module certificate that goes with it.
struct Proven {
    package::Record record;
    pki::Certificate module;
    Bytes content_digest;
    std::string chip;
    std::uint64_t sequence = 0;
};

// The signing certificate of the station may have ended since: it is judged at the time of its signature.
Result<Proven> prove(const protocol::SyncRecord& item, const pki::Trust& trust)
{
    auto record = package::open_record(as_bytes(item.record()), trust, std::nullopt);
    if (!record)
        return record.refusal();
    const auto module = pki::Certificate::from_der(as_bytes(item.module_certificate()));
    if (!module)
        return module.refusal();
    if (const auto chain = pki::verify(*module, {*record->station}, trust, pki::Role::module, module->not_before());
        !chain)
        return chain.refusal();
    const auto binding = pki::module_binding(*module);
    const std::string chip = record->content.chip_identifier();
    const std::uint64_t sequence = record->content.sequence();
    if (!binding || binding->chip_identifier != chip || binding->epoch != sequence)
        return Refusal{Reason::record_foreign, "the module certificate belongs to another personalization"};
    if (!item.proof().empty())
        if (const auto proof = verify_proof(as_bytes(item.proof()), as_bytes(item.record()),
                                            as_bytes(item.module_certificate()), trust);
            !proof)
            return proof.refusal();
    Bytes digest = structures::digest(TPM2_ALG_SHA256, record->content_bytes);
    return Proven{*std::move(record), *module, std::move(digest), chip, sequence};
}

// Why a record that holds cannot be taken all the same.
Verdict stands_in_the_way(Store& store, const Proven& proven, const pki::DeviceIdentity& identity)
{
    if (store.record(proven.chip, proven.sequence))
        return Refusal{Reason::sequence_taken, "another record of this chip has the sequence"};
    if (const auto note = store.quarantined(proven.chip))
        return Refusal{Reason::chip_quarantined, *note};
    if (const auto replacement = store.replacement_of(proven.chip))
        return Refusal{Reason::chip_replaced, "chip " + replacement->present + " took its place"};
    const auto chip = store.chip(proven.chip);
    if (!chip)
        return accepted();
    if (pki::Certificate::from_der(chip->identity_certificate).or_throw().spki() != proven.record.identity.spki())
        return Refusal{Reason::key_mismatch, "the chip is known with another identity key"};
    if (chip->identity != identity)
        return Refusal{Reason::identity_taken, "the chip is known as " + chip->identity.value};
    return accepted();
}

Verdict enter(Store& store, const Proven& proven, const protocol::SyncRecord& item)
{
    const auto identity = pki::device_identity(proven.record.identity);
    if (!identity)
        return Refusal{Reason::record_invalid, "the identity certificate names no device"};
    if (const auto verdict = stands_in_the_way(store, proven, *identity); !verdict)
        return verdict;
    const pki::Time time = from_seconds(item.time());
    if (!store.chip(proven.chip)) {
        const Chip chip{.id = proven.chip,
                        .identity = *identity,
                        .identity_certificate = proven.record.identity.der(),
                        .identity_issuers = proven.record.identity_issuers,
                        .first_granted = time};
        if (const auto added = store.add_chip(chip, proven.record.identity.spki()); !added)
            return added;
    }
    const std::string grant = proven.module.serial();
    if (!store.has_grant(grant)) {
        store.add_grant(
            {grant, proven.chip, proven.sequence, proven.module.der(), time, proven.record.station->common_name()});
        for (const auto& serial : item.key_certificates())
            store.add_key_certificate(serial, grant);
    }
    store.close_grant(grant);
    store.add_record({proven.chip, proven.sequence, proven.content_digest, to_bytes(item.record()), time});
    if (!item.proof().empty())
        store.keep_proof(proven.chip, proven.sequence, as_bytes(item.proof()));
    return accepted();
}

Judgement judge_record(Store& store, const pki::Trust& trust, const protocol::SyncRecord& item)
{
    Judgement made{.kind = "record"};
    const auto proven = prove(item, trust);
    if (!proven) {
        made.outcome = SyncOutcome::refused;
        made.why = proven.refusal();
        return made;
    }
    made.chip = proven->chip;
    made.name = proven->chip + " " + std::to_string(proven->sequence);
    const auto there = store.record(proven->chip, proven->sequence);
    if (there && there->content_digest == proven->content_digest) {
        made.outcome = SyncOutcome::known;
        return made;
    }
    if (const auto entered = enter(store, *proven, item); !entered) {
        made.outcome = SyncOutcome::conflict;
        made.why = entered.refusal();
        return made;
    }
    made.revoked = store.revoke_superseded_grants(proven->chip, from_seconds(item.time()));
    return made;
}

// A number that was given out at the other station is entered without what proves it: nobody can use it here.
IntroductionEntry entry_of(const protocol::SyncUse& use)
{
    constexpr std::size_t verifier_size = 32;
    IntroductionEntry entry;
    entry.selector = use.selector();
    entry.kind =
        use.kind() == "ticket" ? protocol::IntroductionKind::ticket : protocol::IntroductionKind::transaction_number;
    entry.verifier = random_secret(verifier_size);
    entry.issued = from_seconds(use.issued());
    entry.expires = from_seconds(use.expires());
    entry.issuer = use.issuer();
    entry.reason = use.reason();
    return entry;
}

Verdict may_burn(const IntroductionEntry& there, const protocol::SyncUse& use)
{
    if (there.state == IntroductionState::used && there.used_by != use.chip_identifier())
        return Refusal{Reason::transaction_number_used, "chip " + there.used_by + " has used it"};
    if (there.state == IntroductionState::revoked)
        return Refusal{Reason::transaction_number_used, "it was revoked here"};
    if (!there.chip.empty() && there.chip != use.chip_identifier())
        return Refusal{Reason::transaction_number_foreign, "it was given out for chip " + there.chip};
    return accepted();
}

bool is_the_use(const IntroductionEntry& there, const std::string& chip, std::uint64_t sequence)
{
    return there.state == IntroductionState::used && there.used_by == chip && there.sequence >= sequence;
}

Judgement judge_use(Store& store, const protocol::SyncUse& use)
{
    Judgement made{.kind = "introduction", .name = use.selector(), .chip = use.chip_identifier()};
    const auto there = store.introduction(use.selector());
    if (there && is_the_use(*there, use.chip_identifier(), use.sequence())) {
        made.outcome = SyncOutcome::known;
        return made;
    }
    if (there) {
        if (const auto may = may_burn(*there, use); !may) {
            made.outcome = SyncOutcome::conflict;
            made.why = may.refusal();
            return made;
        }
    } else {
        store.add_introduction(entry_of(use));
    }
    store.burn_introduction(use.selector(), use.chip_identifier(), use.sequence(), from_seconds(use.used()));
    return made;
}

Judgement judge_audit(Store& store, const Origin& origin, const protocol::SyncAudit& item)
{
    Judgement made{.kind = "audit", .name = std::to_string(item.id())};
    if (const auto there = store.audit_of(origin, item.id())) {
        made.outcome =
            digest_of(message_of({item.id(), *there})) == digest_of(item) ? SyncOutcome::known : SyncOutcome::conflict;
        made.why = {Reason::sync_conflict, "another entry has this number"};
        return made;
    }
    store.add_audit_of(
        origin,
        {item.id(), {from_seconds(item.time()), item.event(), item.chip(), item.peer(), item.reason(), item.detail()}});
    return made;
}

} // namespace

Judgement judge(Store& store, const pki::Trust& trust, const Origin& origin, const protocol::SyncItem& item)
{
    if (item.has_record())
        return judge_record(store, trust, item.record());
    if (item.has_use())
        return judge_use(store, item.use());
    if (item.has_replacement())
        return judge_replacement(store, trust, item.replacement());
    if (item.has_revocations())
        return judge_revocations(store, trust, origin, item.revocations());
    return judge_audit(store, origin, item.audit());
}

protocol::SyncAudit message_of(const NumberedAudit& audit)
{
    protocol::SyncAudit message;
    message.set_id(audit.id);
    message.set_time(seconds(audit.entry.time));
    message.set_event(audit.entry.event);
    message.set_chip(audit.entry.chip);
    message.set_peer(audit.entry.peer);
    message.set_reason(audit.entry.reason);
    message.set_detail(audit.entry.detail);
    return message;
}

Bytes digest_of(const protocol::SyncAudit& audit)
{
    return structures::digest(TPM2_ALG_SHA256, protocol::serialize(audit));
}

bool has(Store& store, const protocol::RecordName& record)
{
    const auto there = store.record(record.chip_identifier(), record.sequence());
    return there && equal(there->content_digest, as_bytes(record.content_digest()));
}

bool has(Store& store, const protocol::UseName& use)
{
    const auto there = store.introduction(use.selector());
    return there && is_the_use(*there, use.chip_identifier(), use.sequence());
}

} // namespace imprint::station
