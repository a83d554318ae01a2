// SPDX-License-Identifier: Apache-2.0
// The archive's word which record of a chip is its newest: CMS SignedData by the archive's key, made for one question.
#pragma once

#include "daemon/pki/cms.h"
#include "daemon/pki/verify.h"

namespace imprint::package {

inline constexpr std::size_t max_newest = 16 * 1024;
inline constexpr std::size_t newest_nonce_size = 32;

struct Newest {
    std::string chip_identifier;
    std::uint64_t sequence = 0; // the highest that the archive has of this chip
    Bytes record_digest; // SHA-256 over that record's bytes (record.h)
    pki::Time time; // by the archive's clock
    Bytes nonce; // of whoever asked
    friend bool operator==(const Newest&, const Newest&) = default;
};

Bytes make_newest(const Newest& newest, const pki::Certificate& archive, EVP_PKEY* key,
                  const pki::Certificates& issuers);

// Exactly one signer, in the archive's role at `now`: the nonce is what proves that the word is fresh, so that an old
// one need not be judged at its own time. Refusal(record_invalid | record_foreign: another chip | nonce_mismatch |
// signature_invalid | the chain's reasons).
Result<Newest> open_newest(BytesView newest, const pki::Trust& trust, pki::Time now, std::string_view chip_identifier,
                           BytesView nonce);

} // namespace imprint::package
