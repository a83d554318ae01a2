// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/check_hello.h"

#include "daemon/base/ascii.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/templates.h"
#include "provisioning/protocol/framing.h"
#include "provisioning/protocol/introduction.h"

#include <algorithm>
#include <array>
#include <limits>

namespace imprint::station {

namespace {

constexpr std::size_t nonce_size = 32;
constexpr std::size_t proof_size = 32;
constexpr int max_endorsement_keys = 8;
constexpr int max_issuers = 8;
constexpr int max_algorithms = 32;
constexpr std::size_t max_word = 64;
// The data package holds an HMAC key; everything else is P-256.
constexpr std::array needed{"p256", "hmac"};

Refusal malformed(const std::string& detail) { return {Reason::malformed_message, "Hello: " + detail}; }

bool is_word(const std::string& text) { return text.size() <= max_word && is_printable(text); }

Verdict check_capabilities(const protocol::Capabilities& capabilities)
{
    const auto& algorithms = capabilities.algorithms();
    if (algorithms.size() > max_algorithms || !std::ranges::all_of(algorithms, is_word) ||
        !is_word(capabilities.vendor()) || !is_word(capabilities.firmware()))
        return malformed("capabilities that are no list of words");
    for (const std::string_view algorithm : needed)
        if (std::ranges::find(algorithms, algorithm) == algorithms.end())
            return Refusal{Reason::capability_missing, "the package needs " + std::string(algorithm)};
    return accepted();
}

pki::DeviceIdentity requested(const protocol::Hello& hello)
{
    return {hello.requested_identity().kind(), hello.requested_identity().value()};
}

Verdict check_shape(const protocol::Hello& hello)
{
    if (hello.version() != protocol::version)
        return Refusal{Reason::unsupported_version, "version " + std::to_string(hello.version())};
    if (hello.nonce().size() != nonce_size)
        return malformed("a nonce that is not of 32 bytes");
    if (hello.endorsement_keys_size() < 1 || hello.endorsement_keys_size() > max_endorsement_keys)
        return malformed("not one to eight endorsement keys");
    if (hello.has_introduction() &&
        (!protocol::is_selector(hello.introduction().selector()) || hello.introduction().proof().size() != proof_size))
        return malformed("an introduction that is none");
    if (hello.has_requested_identity() && !pki::check(requested(hello)))
        return malformed("a requested identity that is none");
    return check_capabilities(hello.capabilities());
}

Verdict read_endorsement_key(const protocol::Hello& hello, Claim& claim)
{
    const auto endorsement = read_endorsement(hello.endorsement_keys(0));
    if (!endorsement)
        return endorsement.refusal();
    if (endorsement->chip != hello.chip_identifier())
        return malformed("the chip identifier is not that of the first endorsement key");
    claim.chip = endorsement->chip;
    claim.endorsement = *endorsement;
    return accepted();
}

Verdict read_identity_key(const protocol::Hello& hello, Claim& claim)
{
    const auto area = structures::unmarshal<TPMT_PUBLIC>(as_bytes(hello.identity_key()));
    if (!area || !structures::is_identity_key(*area))
        return Refusal{Reason::identity_key_invalid, "not of the published template"};
    const auto spki = structures::to_spki(*area);
    if (!spki)
        return Refusal{Reason::identity_key_invalid, spki.refusal().detail};
    claim.identity_key = *area;
    claim.identity_key_name = structures::name_of(*area);
    claim.identity_key_qualified_name = structures::qualified_name_of_primary(TPM2_RH_ENDORSEMENT, *area);
    claim.identity_key_spki = *spki;
    return accepted();
}

Verdict read_storage_key(const protocol::Hello& hello, Claim& claim)
{
    const auto area = structures::unmarshal<TPMT_PUBLIC>(as_bytes(hello.storage_key()));
    if (!area || !structures::is_storage_key(*area))
        return Refusal{Reason::storage_key_invalid, "not of the published template"};
    claim.storage_key = *area;
    claim.storage_key_name = structures::name_of(*area);
    claim.storage_key_qualified_name = structures::qualified_name_of_primary(TPM2_RH_ENDORSEMENT, *area);
    return accepted();
}

Verdict read_epoch(const protocol::Hello& hello, Claim& claim)
{
    const auto index = structures::unmarshal<TPMS_NV_PUBLIC>(as_bytes(hello.epoch_index()));
    if (!index || !structures::is_epoch_index(*index))
        return Refusal{Reason::epoch_index_invalid, "not exactly the published index"};
    // The databases count in signed 64-bit numbers.
    if (!hello.has_epoch() || hello.epoch() >= std::numeric_limits<std::int64_t>::max())
        return malformed("no possible epoch");
    if (hello.epoch() % 2 != 0)
        return Refusal{Reason::epoch_mismatch, "the epoch is odd: the device is operating"};
    claim.epoch_index_name = structures::name_of(*index);
    claim.epoch = hello.epoch();
    return accepted();
}

Result<pki::Certificates> read_issuers(const protocol::Hello& hello)
{
    if (hello.certificates_size() > max_issuers ||
        (hello.identity_certificate().empty() && hello.certificates_size() > 0))
        return malformed("issuers of nothing, or more than eight");
    pki::Certificates issuers;
    for (const auto& der : hello.certificates()) {
        auto issuer = pki::Certificate::from_der(as_bytes(der));
        if (!issuer)
            return malformed("an issuer's certificate that cannot be read");
        issuers.push_back(*std::move(issuer));
    }
    return issuers;
}

Verdict read_identity_certificate(const protocol::Hello& hello, const pki::Trust& trust, pki::Time now, Claim& claim)
{
    const auto issuers = read_issuers(hello);
    if (!issuers)
        return issuers.refusal();
    if (hello.identity_certificate().empty())
        return accepted();
    const auto certificate = pki::Certificate::from_der(as_bytes(hello.identity_certificate()));
    if (!certificate)
        return malformed("an identity certificate that cannot be read");
    const auto chain = pki::verify(*certificate, *issuers, trust, pki::Role::device_identity, now);
    if (!chain)
        return chain.refusal();
    if (certificate->spki() != claim.identity_key_spki || pki::chip_identifier(*certificate) != claim.chip ||
        !pki::device_identity(*certificate))
        return Refusal{Reason::key_mismatch, "the identity certificate is for another identity key or chip"};
    claim.identity_certificate = *certificate;
    claim.identity_issuers.assign(chain->begin() + 1, chain->end() - 1);
    return accepted();
}

} // namespace

Result<Claim> check_hello(const protocol::Hello& hello, const pki::Trust& trust, pki::Time now)
{
    Claim claim;
    claim.nonce = to_bytes(hello.nonce());
    if (const auto shape = check_shape(hello); !shape)
        return shape.refusal();
    if (hello.has_introduction())
        claim.introduction = {hello.introduction().selector(), to_bytes(hello.introduction().proof())};
    if (hello.has_requested_identity())
        claim.requested = requested(hello);
    for (const auto read : {read_endorsement_key, read_identity_key, read_storage_key, read_epoch})
        if (const auto verdict = read(hello, claim); !verdict)
            return verdict.refusal();
    if (const auto verdict = read_identity_certificate(hello, trust, now, claim); !verdict)
        return verdict.refusal();
    return claim;
}

} // namespace imprint::station
