// SPDX-License-Identifier: Apache-2.0
// Inside daemon/pki only: whether signed data has the one form that sign() and add_signer() give it.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/error.h"

namespace imprint::pki {

// DER without a bit of freedom outside the certificates, the content, the attributes and the signatures.
// Refusal(malformed_message | signature_invalid).
Verdict check_signed_form(BytesView der);

} // namespace imprint::pki
