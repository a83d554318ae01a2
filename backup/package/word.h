// SPDX-License-Identifier: Apache-2.0
// What the archive's words (receipts, and which record is the newest) have in common: CMS SignedData by one signer.
#pragma once

#include "daemon/pki/cms.h"
#include "daemon/pki/verify.h"

namespace imprint::package {

// Signed by somebody, once. `what` for people: "the receipt". Refusal(record_invalid | signature_invalid).
Result<pki::SignedContent> open_word(BytesView bytes, std::size_t limit, const std::string& what);
// That the signer is an archive of the manufacturer's. The chain's refusals.
Verdict check_archive(const pki::SignedContent& word, const pki::Trust& trust, pki::Time now);

} // namespace imprint::package
