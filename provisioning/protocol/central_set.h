// SPDX-License-Identifier: Apache-2.0
// The central system's keys as a station certifies them to devices (claims A25 to A27): the present one and those to
// come. central_set.md tells the format and what a device demands of it. No I/O.
#pragma once

#include "daemon/pki/cms.h"
#include "daemon/pki/verify.h"

#include <optional>
#include <vector>

namespace imprint::protocol {

inline constexpr std::size_t max_central_set = 32 * 1024; // bytes of CMS
inline constexpr std::size_t max_central_keys = 4;

struct CentralKey {
    pki::Certificate certificate; // of the role certified_central
    std::optional<pki::Certificate> cross_certificate;
};

struct CentralSet {
    std::uint64_t number = 0;
    std::vector<CentralKey> keys; // 1 to 4, each of another key
    pki::Certificate signer; // the station
};

// The set, signed by the station's signing key; `issuers` of that go along.
Bytes make_central_set(std::uint64_t number, const std::vector<CentralKey>& keys, const pki::Certificate& signer,
                       EVP_PKEY* key, const pki::Certificates& issuers);

// Whether every key has to come with a cross-certificate. One that is there has to be good in either case.
enum class CrossCertificates { where_present, required };

// For whoever accepts a set: every link up to the checking key, now. Refusal: central_set_invalid (form, number,
// sizes), signature_invalid, the reasons of the signer's chain, central_not_certified (a key that somebody else than
// the signer certified), the reasons of a key's chain, cross_certificate_missing, cross_certificate_invalid.
Result<CentralSet> open_central_set(BytesView bytes, const pki::Trust& trust, CrossCertificates cross, pki::Time now);

// For whoever keeps a set that was accepted: the same form and the signature, but no chain and no clock. What a device
// accepted stays good when the station's certificates have ended. Refusal(central_set_invalid | signature_invalid).
Result<CentralSet> read_central_set(BytesView bytes);

// SHA-256 of each key's SubjectPublicKeyInfo, in the order of the set.
std::vector<Bytes> pins(const CentralSet& set);

// Whether an accepted update takes the place of the present set; false: it says the same, so there is nothing to do.
// Refusal(central_set_outdated) for a lower number, or the same one with other keys.
Result<bool> supersedes(const CentralSet& update, const CentralSet& present);

} // namespace imprint::protocol
