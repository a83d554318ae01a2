// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/check_introduction.h"

#include <openssl/crypto.h>

namespace imprint::station {

namespace {

// Stands in for a selector that does not exist: the same work, never the right proof.
Secret nobodys_verifier()
{
    constexpr std::size_t verifier_size = 32;
    return random_secret(verifier_size);
}

bool proves(const Claim& claim, const Secret& verifier, BytesView channel_binding)
{
    const Bytes expected = protocol::introduction_proof(verifier, channel_binding, claim.chip, claim.nonce);
    const Bytes& given = claim.introduction->proof;
    return given.size() == expected.size() && CRYPTO_memcmp(given.data(), expected.data(), expected.size()) == 0;
}

} // namespace

Reservation Introductions::reserve(const std::string& selector, const std::string& chip)
{
    std::erase_if(reserved_, [](const auto& entry) { return entry.second.expired(); });
    auto& held = reserved_[selector];
    Reservation reservation = held.lock();
    if (reservation)
        return *reservation == chip ? reservation : nullptr;
    reservation = std::make_shared<const std::string>(chip);
    held = reservation;
    return reservation;
}

Verdict check_required(Store& store, const Claim& claim, Required required)
{
    if (claim.introduction || required == Required::never)
        return accepted();
    if (required == Required::first)
        if (const auto chip = store.chip(claim.chip); chip && chip->newest_sequence != 0)
            return accepted();
    return Refusal{Reason::transaction_number_required, "this station personalizes nobody without an introduction"};
}

Result<Reservation> check_introduction(Store& store, Introductions& introductions, const Claim& claim,
                                       BytesView channel_binding, pki::Time now)
{
    const std::string& selector = claim.introduction->selector;
    const auto entry = store.introduction(selector);
    const Secret verifier = entry ? entry->verifier.clone() : nobodys_verifier();
    const bool proven = proves(claim, verifier, channel_binding);
    if (!entry)
        return Refusal{Reason::transaction_number_wrong, "there is no selector " + selector};
    if (!proven)
        return Refusal{Reason::transaction_number_wrong, "the proof for " + described(*entry) + " is wrong"};
    if (const auto usable = usable_by(*entry, claim.chip, now); !usable)
        return usable.refusal();
    auto reservation = introductions.reserve(selector, claim.chip);
    if (!reservation)
        return Refusal{Reason::transaction_number_in_use, described(*entry)};
    return reservation;
}

} // namespace imprint::station
