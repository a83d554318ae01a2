// SPDX-License-Identifier: Apache-2.0
// Signers for tests, and how they fail.
#pragma once

#include "daemon/tls/provider.h"
#include "tests/support/reason.h"
#include "tests/support/test_pki.h"

namespace imprint::test {

// Signs with a key in memory, borrowed.
tls::Signer signer_of(EVP_PKEY* key);
// Throws as a TPM's worker does.
Bytes refusing_signer(BytesView message);
bool is_refusing_signers(const Error& error);

} // namespace imprint::test
