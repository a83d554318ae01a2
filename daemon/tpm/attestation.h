// SPDX-License-Identifier: Apache-2.0
// What the commands that attest have in common.
#pragma once

#include "daemon/structures/attest.h"

namespace imprint::tpm {

// The null scheme: the key's own one.
const TPMT_SIG_SCHEME& keys_own_scheme();
structures::Attestation attestation(const TPM2B_ATTEST& attest, const TPMT_SIGNATURE& signature);

} // namespace imprint::tpm
