// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/session.h"

#include "daemon/structures/name.h"
#include "provisioning/protocol/framing.h"
#include "provisioning/protocol/transcript.h"
#include "provisioning/station/identity_request.h"
#include "provisioning/station/proof.h"

namespace imprint::station {

namespace {

Answer answer(const protocol::Message& message) { return {.message = protocol::serialize(message)}; }

pki::Certificates issuers(const pki::Certificates& chain) { return {chain.begin() + 1, chain.end()}; }

// The operator's note is not for whoever names a chip, nor which selectors there are for whoever guesses.
Refusal for_peer(const Refusal& why)
{
    if (why.reason == Reason::chip_quarantined)
        return {why.reason, "ask the operator of this station"};
    if (why.reason == Reason::chip_replaced)
        return {why.reason, "it is out of service"};
    if (why.reason == Reason::transaction_number_wrong)
        return {why.reason, "it is unknown here, or another one"};
    return why;
}

Refusal out_of_order() { return {Reason::unexpected_message, "not the message that this step waits for"}; }

} // namespace

StationSession::StationSession(const Station& station, Store& store, Introductions& introductions, Line line)
    : station_(station)
    , store_(store)
    , introductions_(introductions)
    , line_(std::move(line))
{
}

Answer StationSession::receive(BytesView bytes, pki::Time now)
{
    // Over, unless this message turns out to be good.
    const Step step = std::exchange(step_, Step::over);
    try {
        const auto message = protocol::parse(bytes);
        if (!message)
            return refuse(message.refusal(), message.refusal(), now);
        if (message->has_refused())
            return on_refused(message->refused(), now);
        auto result = dispatch(step, *message, bytes, now);
        return result ? *std::move(result) : refuse(for_peer(result.refusal()), result.refusal(), now);
    } catch (const Error& e) {
        return fail(e.refusal(), now);
    } catch (const SQLite::Exception& e) {
        return fail({Reason::storage_failed, e.what()}, now);
    } catch (const std::exception& e) {
        return fail({Reason::internal, e.what()}, now);
    }
}

Result<Answer> StationSession::dispatch(Step step, const protocol::Message& message, BytesView bytes, pki::Time now)
{
    if (step == Step::hello && message.has_hello())
        return on_hello(message.hello(), bytes, now);
    if (step == Step::hello && message.has_resume())
        return on_resume(message.resume(), now);
    if (step == Step::proof && message.has_proof())
        return on_proof(message.proof(), now);
    if (step == Step::backup && message.has_backup())
        return on_backup(message.backup(), now);
    return out_of_order();
}

Result<Answer> StationSession::on_hello(const protocol::Hello& hello, BytesView bytes, pki::Time now)
{
    if (structures::is_chip_identifier(hello.chip_identifier()))
        chip_ = hello.chip_identifier();
    auto claim = check_hello(hello, *station_.credentials.trust, now);
    if (!claim)
        return claim.refusal();
    claim_ = *std::move(claim);
    if (const auto trusted = check_endorsement(hello.endorsement_keys(0), claim_.endorsement, station_.vendors,
                                               store_.allowed(claim_.chip));
        !trusted)
        return trusted.refusal();
    if (const auto admitted = admit(store_, claim_); !admitted)
        return admitted.refusal();
    const auto& algorithms = hello.capabilities().algorithms();
    if (const auto able = check_capabilities(station_.profile, {algorithms.begin(), algorithms.end()}); !able)
        return able.refusal();
    if (const auto judged = judge_claim(now); !judged)
        return judged.refusal();

    auto challenge = make_challenge(station_.credentials, claim_, asked_);
    if (!challenge)
        return challenge.refusal();
    protocol::Message message;
    *message.mutable_challenge() = *std::move(challenge);
    Answer out = answer(message);
    asked_.qualifying_data = protocol::qualifying_data(line_.channel_binding, bytes, out.message);
    step_ = Step::proof;
    return out;
}

// On a mere claim: with too many wrong ones lately, it is put off until the chip is proven.
Verdict StationSession::judge_claim(pki::Time now)
{
    if (const auto verdict = check_required(store_, claim_, line_.introductions); !verdict)
        return verdict;
    if (!claim_.introduction || !introductions_.limiter.may_judge_claim(claim_.chip, now))
        return accepted();
    return judge(&AttemptLimiter::wrong_claim, now);
}

Verdict StationSession::judge_proven(pki::Time now)
{
    if (!claim_.introduction || reservation_)
        return accepted();
    if (!introductions_.limiter.may_judge_proven(claim_.chip, now))
        return Refusal{Reason::rate_limited, "this device presented too many wrong introductions"};
    return judge(&AttemptLimiter::wrong_proven, now);
}

Verdict StationSession::judge(void (AttemptLimiter::*wrong)(const std::string& chip, pki::Time now), pki::Time now)
{
    const auto judged = check_introduction(store_, introductions_, claim_, line_.channel_binding, now);
    if (!judged && judged.refusal().reason == Reason::transaction_number_wrong)
        (introductions_.limiter.*wrong)(claim_.chip, now);
    if (!judged)
        return judged.refusal();
    reservation_ = *judged;
    return accepted();
}

Result<Answer> StationSession::on_proof(const protocol::Proof& proof, pki::Time now)
{
    const auto key = check_proof(proof, claim_, asked_);
    if (!key)
        return key.refusal();
    if (const auto judged = judge_proven(now); !judged)
        return judged.refusal();
    if (const auto judged = judge_request(store_, claim_, now); !judged)
        return judged.refusal();
    auto granted = make_grant(*key, now);
    if (granted)
        return granted;
    stop_twins(granted.refusal(), now);
    return granted;
}

Result<Answer> StationSession::make_grant(const ProvenKey& key, pki::Time now)
{
    auto transaction = store_.begin();
    auto grants = grant(station_, store_, claim_, key, now);
    if (!grants)
        return grants.refusal();
    protocol::Message message;
    *message.mutable_grant() = std::move(grants->message);
    Answer out = answer(message);
    for (const auto& serial : grants->revoked)
        out.audit.push_back(entry("revoked", "module certificate " + serial + " never got its receipt", now));
    out.audit.push_back(entry("granted",
                              grants->identity.value + " sequence " + std::to_string(claim_.sequence()) +
                                  " module certificate " + grants->granted.serial + grants->introduced_by,
                              now));
    for (const auto& audited : out.audit)
        store_.audit(audited);
    transaction.commit();
    reservation_.reset();

    out.revoked = !grants->revoked.empty();
    granted_ = std::move(grants->granted);
    step_ = Step::backup;
    return out;
}

// One endorsement key in two TPMs, both proven: neither can be told to be the device. Both wait for the operator.
void StationSession::stop_twins(const Refusal& why, pki::Time now)
{
    if (why.reason != Reason::key_mismatch)
        return;
    auto transaction = store_.begin();
    store_.quarantine(claim_.chip, "two TPMs have this endorsement key: they proved different identity keys");
    store_.audit(entry("quarantined", "another TPM has proven the same endorsement key", now));
    transaction.commit();
}

Result<Answer> StationSession::on_backup(const protocol::Backup& backup, pki::Time now)
{
    const auto record = check_backup(backup, claim_, asked_, granted_, *station_.credentials.trust, now);
    if (!record)
        return record.refusal();
    const auto& signing = station_.credentials.signing;
    const Bytes countersigned =
        package::countersign(record->bytes, signing.front(), station_.credentials.signing_key.get(), issuers(signing));
    auto transaction = store_.begin();
    if (const auto note = store_.quarantined(claim_.chip))
        return Refusal{Reason::chip_quarantined, *note};
    if (const auto verdict = check_in_service(store_, claim_.chip); !verdict)
        return verdict.refusal();
    if (!store_.grant_is_open(granted_.serial))
        return Refusal{Reason::certificate_revoked, "the chip came back on another connection in the meantime"};
    if (store_.record(claim_.chip, claim_.sequence()))
        return Refusal{Reason::sequence_taken, "sequence " + std::to_string(claim_.sequence())};
    store_.add_record({claim_.chip, claim_.sequence(), structures::digest(TPM2_ALG_SHA256, record->content_bytes),
                       countersigned, now});
    store_.keep_proof(claim_.chip, claim_.sequence(), keep_proof(backup, claim_, asked_, granted_));
    store_.close_grant(granted_.serial);
    store_.set_readmitted(claim_.chip, false);
    protocol::Message message;
    message.mutable_receipt()->set_record(to_string(countersigned));
    Answer out = answer(message);
    out.audit.push_back(entry("recorded", "sequence " + std::to_string(claim_.sequence()), now));
    for (const auto& serial : store_.revoke_superseded_grants(claim_.chip, now))
        out.audit.push_back(entry("revoked", "module certificate " + serial + " of an earlier personalization", now));
    for (const auto& audited : out.audit)
        store_.audit(audited);
    transaction.commit();

    out.last = true;
    out.record_stored = true;
    out.receipt = true;
    out.revoked = out.audit.size() > 1;
    return out;
}

Result<Answer> StationSession::on_resume(const protocol::Resume& resume, pki::Time now)
{
    if (resume.version() != protocol::version)
        return Refusal{Reason::unsupported_version, "version " + std::to_string(resume.version())};
    if (!structures::is_chip_identifier(resume.chip_identifier()))
        return Refusal{Reason::malformed_message, "Resume: no chip identifier"};
    chip_ = resume.chip_identifier();
    if (const auto note = store_.quarantined(chip_))
        return Refusal{Reason::chip_quarantined, *note};
    if (const auto verdict = check_in_service(store_, chip_); !verdict)
        return verdict.refusal();
    if (!store_.chip(chip_))
        return Refusal{Reason::unknown_chip, "chip " + chip_};
    const auto record = store_.record(chip_, resume.sequence());
    if (!record || !equal(record->content_digest, as_bytes(resume.content_digest())))
        return Refusal{Reason::record_not_found, "sequence " + std::to_string(resume.sequence())};

    const auto audited = entry("resumed", "sequence " + std::to_string(resume.sequence()), now);
    store_.audit(audited);
    protocol::Message message;
    message.mutable_receipt()->set_record(to_string(record->record));
    Answer out = answer(message);
    out.last = true;
    out.receipt = true;
    out.audit.push_back(audited);
    return out;
}

// The device said no; there is nothing to answer.
Answer StationSession::on_refused(const protocol::Refused& refused, pki::Time now)
{
    const Refusal why = protocol::refusal_of(refused);
    auto audited = entry("refused-by-device", why.detail, now);
    audited.reason = name(why.reason);
    store_.audit(audited);
    reservation_.reset();
    Answer out{.last = true};
    out.audit.push_back(std::move(audited));
    return out;
}

// Our own failure: the peer learns its kind, the audit log the rest.
Answer StationSession::fail(const Refusal& why, pki::Time now)
{
    return refuse({why.reason, "the station could not go on"}, why, now);
}

Answer StationSession::refuse(const Refusal& to_peer, const Refusal& to_audit, pki::Time now)
{
    auto audited = entry("refused", to_audit.detail, now);
    audited.reason = name(to_audit.reason);
    try {
        store_.audit(audited);
    } catch (const SQLite::Exception& e) { // the journal still gets the entry
        audited.detail += std::string(" (not in the audit log: ") + e.what() + ")";
    }
    Answer out{.message = protocol::serialize(protocol::refused(to_peer)), .last = true};
    reservation_.reset();
    out.audit.push_back(std::move(audited));
    return out;
}

Answer StationSession::reject(const Refusal& why, pki::Time now)
{
    step_ = Step::over;
    return refuse(why, why, now);
}

std::optional<AuditEntry> StationSession::abandon(const Refusal& why, pki::Time now)
{
    const Step step = std::exchange(step_, Step::over);
    reservation_.reset();
    if (step != Step::proof && step != Step::backup)
        return std::nullopt;
    auto audited = entry(step == Step::proof ? "abandoned" : "abandoned-after-grant", why.detail, now);
    audited.reason = name(why.reason);
    store_.audit(audited);
    return audited;
}

AuditEntry StationSession::entry(std::string event, std::string detail, pki::Time now) const
{
    return {.time = now, .event = std::move(event), .chip = chip_, .peer = line_.peer, .detail = std::move(detail)};
}

} // namespace imprint::station
