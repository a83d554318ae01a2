// SPDX-License-Identifier: Apache-2.0
// The archive's word that it holds a record durably: CMS SignedData by the archive's key.
#pragma once

#include "daemon/pki/cms.h"
#include "daemon/pki/verify.h"

#include <optional>

namespace imprint::package {

inline constexpr std::size_t max_receipt = 16 * 1024;

struct Receipt {
    std::string chip_identifier;
    std::uint64_t sequence = 0;
    Bytes record_digest; // SHA-256 over the record's bytes (record.h)
    pki::Time time; // of acceptance, by the archive's clock
    friend bool operator==(const Receipt&, const Receipt&) = default;
};

Bytes make_receipt(const Receipt& receipt, const pki::Certificate& archive, EVP_PKEY* key,
                   const pki::Certificates& issuers);

// Exactly one signer, in the archive's role. Without `now` its chain is judged at the receipt's own time, for receipts
// that are kept for years. Refusal(record_invalid | signature_invalid | the chain's reasons).
Result<Receipt> open_receipt(BytesView receipt, const pki::Trust& trust, std::optional<pki::Time> now);

} // namespace imprint::package
