// SPDX-License-Identifier: Apache-2.0
#include "provisioning/device/impl.h"
#include "provisioning/device/receipt.h"
#include "provisioning/device/session.h"

#include <unistd.h>

namespace imprint::device {

namespace {

constexpr int max_attempts = 3; // each but the first has cost two increments of the epoch counter

pki::Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

// A DeviceSession, kept by the thread that waits for the network and worked on by that of the TPM. Its session in the
// TPM stays open between two messages; an Error ends it before the worker may close the TPM over it.
class RemoteSession {
public:
    RemoteSession(tpm::Worker& worker, const lifecycle::Store& store, Situation situation, const Progress& progress)
        : worker_(worker)
    {
        worker_.call([&](tpm::SecurityModule& module) {
            module_ = &module;
            session_ = std::make_unique<DeviceSession>(module, store, std::move(situation), progress);
        });
    }
    ~RemoteSession()
    {
        try {
            if (session_)
                worker_.call([this](tpm::SecurityModule&) { session_.reset(); });
        } catch (...) {
            return; // opening the TPM anew flushes what is left of it
        }
    }
    RemoteSession(const RemoteSession&) = delete;
    RemoteSession& operator=(const RemoteSession&) = delete;

    Bytes hello()
    {
        return work([this] { return session_->hello(); });
    }
    Result<Bytes> take(BytesView message)
    {
        return work([&] { return session_->take(message); });
    }
    bool refused_by_station() const { return session_->refused_by_station(); }

private:
    template <class F>
    std::invoke_result_t<F> work(F step)
    {
        return worker_.call([&](tpm::SecurityModule& module) {
            try {
                if (&module != module_)
                    throw Error(Reason::tpm_reset, "the TPM had to be opened anew in the middle of a personalization");
                return step();
            } catch (...) {
                session_.reset();
                throw;
            }
        });
    }

    tpm::Worker& worker_;
    const tpm::SecurityModule* module_ = nullptr;
    std::unique_ptr<DeviceSession> session_;
};

// Takes the answer; what goes wrong on this side is told to the station before it is thrown.
Result<Bytes> take(RemoteSession& session, Conversation& conversation, BytesView answer)
{
    try {
        auto next = session.take(answer);
        if (!next && !session.refused_by_station())
            conversation.refuse(next.refusal());
        return next;
    } catch (const Error& error) {
        conversation.refuse({error.reason(), "the device failed"});
        throw;
    }
}

// The way for one more attempt: an address is connected to anew, a terminal line goes on. Any other descriptor is used
// up by one connection.
std::optional<Device::Link> once_more(const Device::Link& station)
{
    const auto* descriptor = std::get_if<Fd>(&station);
    if (descriptor == nullptr)
        return Device::Link(std::get<std::string>(station));
    if (isatty(descriptor->get()) == 0)
        return std::nullopt;
    return Device::Link(duplicate(descriptor->get()));
}

} // namespace

void Device::Impl::personalize(Link station, bool switch_afterwards, const Progress& progress,
                               const tls::Cancel& cancel, const Presented& presented)
{
    require({State::blank, State::personalization, State::recovered}, "Personalize");
    require_intact_files();
    const auto trust = read_trust(settings_);
    progress(0, "preparing the TPM");
    if (known_.epoch() % 2 != 0 && known_.state == State::personalization)
        move_past(known_.epoch());
    ensure_prepared(trust, known_.chip_identifier, Note::ends);

    if (known_.current() != nullptr)
        require_epoch_as_known(); // otherwise the conversation attests it
    else
        personalize_epoch(std::move(station), {trust, progress, cancel, presented.introduction, presented.requested});
    if (!switch_afterwards) {
        progress(100, "personalized");
        return;
    }
    progress(95, "switching to the operating state");
    switch_to_operating();
    progress(100, "operating");
}

void Device::Impl::personalize_epoch(Link station, Attempt attempt)
{
    std::optional<protocol::IntroductionCode> typed;
    for (int attempts = 1; known_.current() == nullptr;) {
        auto next = once_more(station);
        const Outcome outcome = try_once(std::move(station), attempt);
        if (outcome == Outcome::complete)
            break;
        if (outcome == Outcome::introduction_wanted) {
            if (!next)
                throw Error(Reason::transaction_number_required,
                            "connect the device again, and give one with the call");
            typed = ask(settings_.input_unit, known_.chip_identifier, attempt.progress, attempt.cancel);
            attempt.introduction = &*typed;
        } else {
            move_past(known_.epoch() + 1);
            if (!next || attempts++ == max_attempts)
                throw Error(Reason::sequence_taken,
                            "the device has moved on to epoch " + std::to_string(known_.epoch()) +
                                ": connect it again");
        }
        station = *std::move(next);
    }
}

Device::Impl::Outcome Device::Impl::try_once(Link station, const Attempt& attempt)
{
    attempt.progress(10, "connecting to the station");
    Conversation conversation(std::move(station), attempt.trust, settings_, attempt.cancel);
    const auto pending = known_.files.personalizations.find(known_.epoch() + 1);
    const Outcome outcome = pending == known_.files.personalizations.end()
        ? converse(conversation, attempt)
        : resume(conversation, pending->second, attempt.trust);
    if (outcome == Outcome::complete)
        reload();
    conversation.close();
    return outcome;
}

Device::Impl::Outcome Device::Impl::resume(Conversation& conversation, const lifecycle::Personalization& pending,
                                           const pki::Trust& trust)
{
    require_epoch_as_known();
    const auto answer = protocol::parse(conversation.exchange(resume_message(pending)));
    if (answer && answer->has_refused()) {
        const Refusal refusal = protocol::refusal_of(answer->refused());
        for (const Reason reason : {Reason::unknown_chip, Reason::record_not_found, Reason::sequence_taken})
            if (refusal.reason == reason)
                return Outcome::sequence_burnt;
        throw Error(refusal);
    }
    if (answer && answer->has_receipt()) {
        const auto completed = complete(pending, answer->receipt(), trust, std::nullopt);
        if (completed) {
            store_.save(*completed);
            return Outcome::complete;
        }
        conversation.refuse(completed.refusal());
        throw Error(completed.refusal());
    }
    const Refusal refusal =
        answer ? Refusal{Reason::unexpected_message, "the station sent a message out of order"} : answer.refusal();
    conversation.refuse(refusal);
    throw Error(refusal);
}

Device::Impl::Outcome Device::Impl::converse(Conversation& conversation, const Attempt& attempt)
{
    Situation situation{known_.files.chip.value(),
                        known_.capabilities,
                        identity_of(known_.shown(), attempt.trust, now()),
                        known_.epoch(),
                        attempt.trust,
                        settings_.central,
                        now(),
                        conversation.channel_binding(),
                        conversation.station_name(),
                        provider(),
                        attempt.introduction,
                        attempt.requested};
    RemoteSession session(worker_, store_, std::move(situation), attempt.progress);
    Bytes message = session.hello();
    while (!message.empty()) {
        auto next = take(session, conversation, conversation.exchange(message));
        if (!next && session.refused_by_station() && next.refusal().reason == Reason::sequence_taken)
            return Outcome::sequence_burnt;
        if (!next && session.refused_by_station() && attempt.introduction == nullptr &&
            !settings_.input_unit.address.empty() && next.refusal().reason == Reason::transaction_number_required)
            return Outcome::introduction_wanted;
        message = std::move(next).or_throw();
    }
    return Outcome::complete;
}

} // namespace imprint::device
