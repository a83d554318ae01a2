// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/courier_session.h"

#include "daemon/structures/name.h"
#include "provisioning/protocol/courier_messages.h"
#include "provisioning/protocol/framing.h"
#include "provisioning/server/log.h"
#include "provisioning/station/introductions.h"
#include "provisioning/station/operators.h"

namespace imprint::station {

namespace {

// Long enough for a courier's way and a device's connection.
constexpr std::chrono::minutes usual_validity_of_ticket{30};
constexpr std::chrono::hours usual_validity_of_number{24};
constexpr std::size_t fingerprint_digits = 16; // enough to find the operator
constexpr std::size_t max_name = 64;

Verdict check_form(const protocol::IntroductionRequest& request)
{
    if (request.version() != protocol::version)
        return Refusal{Reason::unsupported_version, "version " + std::to_string(request.version())};
    const bool any_chip = request.chip_identifier().empty() && !request.ticket();
    if (!any_chip && !structures::is_chip_identifier(request.chip_identifier()))
        return Refusal{Reason::malformed_message, "no chip identifier"};
    if (!protocol::is_introduction_reason(request.reason()))
        return Refusal{Reason::malformed_message, "a reason is 1 to 128 characters of printable ASCII"};
    if (std::chrono::seconds(request.validity()) > max_valid)
        return Refusal{Reason::invalid_argument,
                       "a validity of more than " +
                           std::to_string(std::chrono::duration_cast<std::chrono::days>(max_valid).count()) + " days"};
    return accepted();
}

Terms terms_of(const protocol::IntroductionRequest& request, const Operator& issuer)
{
    Terms terms;
    terms.chip = request.chip_identifier();
    terms.valid = std::chrono::seconds(request.validity());
    if (request.validity() == 0)
        terms.valid = request.ticket() ? std::chrono::seconds(usual_validity_of_ticket) : usual_validity_of_number;
    terms.issuer =
        server::printable(issuer.name).substr(0, max_name) + " " + issuer.fingerprint.substr(0, fingerprint_digits);
    terms.reason = request.reason();
    return terms;
}

// The message with the introduction's text; the copy in between is wiped.
Bytes message_with(const protocol::IntroductionCode& code, const std::string& address, pki::Time expires)
{
    protocol::CourierMessage message;
    auto& answer = *message.mutable_answer();
    const Secret text = protocol::text_of(code);
    answer.set_introduction(std::string(as_text(text.view())));
    answer.set_station_address(address);
    answer.set_expires(seconds(expires));
    Bytes bytes = protocol::serialize(message);
    std::string& copy = *answer.mutable_introduction();
    cleanse({reinterpret_cast<std::uint8_t*>(copy.data()), copy.size()});
    return bytes;
}

} // namespace

CourierSession::CourierSession(Store& store, pki::Certificate certificate, std::string peer, std::string public_address)
    : store_(store)
    , certificate_(std::move(certificate))
    , peer_(std::move(peer))
    , public_address_(std::move(public_address))
{
}

CourierAnswer CourierSession::receive(BytesView bytes, pki::Time now)
try {
    const auto message = protocol::parse_courier_message(bytes);
    if (!message)
        return reject(message.refusal(), now);
    auto answered = answer(*message, now);
    return answered ? *std::move(answered) : reject(answered.refusal(), now);
} catch (const Error& error) {
    return reject(error.refusal(), now);
} catch (const SQLite::Exception& error) {
    return reject({Reason::storage_failed, error.what()}, now);
}

CourierAnswer CourierSession::reject(const Refusal& why, pki::Time now)
{
    AuditEntry entry{.time = now,
                     .event = "refused",
                     .chip = chip_,
                     .peer = peer_,
                     .reason = std::string(name(why.reason)),
                     .detail = describe(certificate_) + ": " + why.detail};
    try {
        store_.audit(entry);
    } catch (const SQLite::Exception& error) { // the journal still gets the entry
        entry.detail += std::string(" (not in the audit log: ") + error.what() + ")";
    }
    // What the database says is for the audit log.
    const bool own_fault = why.reason == Reason::storage_failed || why.reason == Reason::internal;
    const Refusal told{why.reason, own_fault ? "the station could not go on" : why.detail};
    return {protocol::serialize(protocol::courier_refused(told)), std::move(entry)};
}

Result<CourierAnswer> CourierSession::answer(const protocol::CourierMessage& message, pki::Time now)
{
    if (!message.has_request())
        return Refusal{Reason::unexpected_message, "not a request"};
    if (structures::is_chip_identifier(message.request().chip_identifier()))
        chip_ = message.request().chip_identifier();
    if (const auto verdict = check_form(message.request()); !verdict)
        return verdict.refusal();
    return issue(message.request(), now);
}

Result<CourierAnswer> CourierSession::issue(const protocol::IntroductionRequest& request, pki::Time now)
{
    auto transaction = store_.begin();
    const auto issuer =
        authorize(store_, certificate_, request.ticket() ? Permission::introduce : Permission::issue_tan);
    if (!issuer)
        return issuer.refusal();
    const Terms terms = terms_of(request, *issuer);
    const auto code =
        request.ticket() ? issue_ticket(store_, terms, now) : issue_transaction_number(store_, terms, now);
    CourierAnswer made{
        message_with(code, public_address_, now + terms.valid),
        {.time = now,
         .event = "introduction-issued",
         .chip = chip_,
         .peer = peer_,
         .detail = std::string(name(code.kind)) + " " + code.selector + " of " + terms.issuer + ": " + terms.reason}};
    transaction.commit();
    return made;
}

} // namespace imprint::station
