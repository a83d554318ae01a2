// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/introductions.h"

#include "daemon/base/ascii.h"
#include "daemon/structures/name.h"

namespace imprint::station {

namespace {

constexpr std::size_t max_words = 128; // characters of an issuer's name or reason

Error invalid(const std::string& detail) { return {Reason::invalid_argument, detail}; }

bool are_words(const std::string& text) { return text.size() <= max_words && is_printable(text); }

void check_form(const Terms& terms)
{
    if (!terms.chip.empty() && !structures::is_chip_identifier(terms.chip))
        throw invalid("a chip identifier is 64 hexadecimal digits in lower case");
    if (terms.identity)
        pki::check(*terms.identity).or_throw();
    if (terms.valid <= std::chrono::seconds(0) || terms.valid > max_valid)
        throw invalid("an introduction is valid for 1 second to 366 days");
    if (terms.issuer.empty() || !are_words(terms.issuer) || !are_words(terms.reason))
        throw invalid("issuer and reason are printable ASCII of at most 128 characters");
}

// What could never be used is not given out.
void check_promise(Store& store, const Terms& terms)
{
    const auto known = store.chip(terms.chip);
    if (known && terms.identity && known->identity != *terms.identity)
        throw Error(Reason::identity_taken, "the chip has the identity " + known->identity.value);
    if (!terms.identity || terms.chip.empty())
        return;
    if (const auto owner = store.chip_of_identity(*terms.identity); owner && *owner != terms.chip)
        throw Error(Reason::identity_taken, terms.identity->value + " belongs to chip " + *owner);
}

void audit_issued(Store& store, const IntroductionEntry& entry)
{
    std::string detail =
        described(entry) + ", good for " + std::to_string((entry.expires - entry.issued).count()) + " s";
    if (entry.identity)
        detail += ", of device " + entry.identity->value;
    if (!entry.reason.empty())
        detail += ": " + entry.reason;
    store.audit({.time = entry.issued,
                 .event = "introduction-issued",
                 .chip = entry.chip,
                 .peer = entry.issuer,
                 .detail = detail});
}

protocol::IntroductionCode issue(Store& store, const Terms& terms, pki::Time now, protocol::IntroductionCode (*make)())
{
    check_form(terms);
    check_promise(store, terms);
    // A selector is 35 bits: among many there is sometimes one twice.
    for (;;) {
        auto code = make();
        const IntroductionEntry entry{.selector = code.selector,
                                      .kind = code.kind,
                                      .verifier = verifier_of(code),
                                      .chip = terms.chip,
                                      .identity = terms.identity,
                                      .issued = now,
                                      .expires = now + terms.valid,
                                      .issuer = terms.issuer,
                                      .reason = terms.reason};
        if (!store.add_introduction(entry))
            continue;
        audit_issued(store, entry);
        return code;
    }
}

} // namespace

protocol::IntroductionCode issue_transaction_number(Store& store, const Terms& terms, pki::Time now)
{
    return issue(store, terms, now, protocol::new_transaction_number);
}

protocol::IntroductionCode issue_ticket(Store& store, const Terms& terms, pki::Time now)
{
    if (terms.chip.empty())
        throw invalid("a ticket is for one chip");
    return issue(store, terms, now, protocol::new_ticket);
}

Verdict usable_by(const IntroductionEntry& entry, const std::string& chip, pki::Time now)
{
    const std::string which = described(entry);
    if (entry.state == IntroductionState::revoked)
        return Refusal{Reason::transaction_number_expired, which + " was revoked"};
    if (!entry.chip.empty() && entry.chip != chip)
        return Refusal{Reason::transaction_number_foreign, which + " is for another chip"};
    if (entry.state == IntroductionState::used && (entry.used_by != chip || entry.recorded))
        return Refusal{Reason::transaction_number_used, which + " was used"};
    if (entry.state == IntroductionState::open && now >= entry.expires)
        return Refusal{Reason::transaction_number_expired, which + " has expired"};
    return accepted();
}

std::string described(const IntroductionEntry& entry)
{
    return std::string(name(entry.kind)) + ' ' + entry.selector + " of " + entry.issuer;
}

} // namespace imprint::station
