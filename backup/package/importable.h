// SPDX-License-Identifier: Apache-2.0
// What every object wrapped for the chip storage key must be, whoever wrapped it.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/error.h"

#include <tss2/tss2_tpm2_types.h>

namespace imprint::package {

// Strict TPM2B_PUBLIC, TPM2B_PRIVATE and TPM2B_ENCRYPTED_SECRET; a known nameAlg; fixedTPM, fixedParent and
// encryptedDuplication clear; and an outer wrap: without a seed the sensitive area would lie there in clear
// (CVE-2021-3565). Returns the public area, or Refusal(`reason`).
Result<TPMT_PUBLIC> check_importable(BytesView object, BytesView duplicate, BytesView seed, Reason reason,
                                     const std::string& what);

} // namespace imprint::package
