// SPDX-License-Identifier: Apache-2.0
// What every object under a package's own parent must be.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/error.h"

#include <tss2/tss2_tpm2_types.h>

namespace imprint::package {

// Strict TPM2B_PUBLIC and TPM2B_PRIVATE; a known nameAlg; fixedParent set (there is no TPM2_Duplicate of it), fixedTPM
// and encryptedDuplication clear (a parent that was itself imported has no such children). Whether the one opens the
// other, the TPM alone can tell. Returns the public area, or Refusal(`reason`).
Result<TPMT_PUBLIC> check_loadable(BytesView object, BytesView sensitive, Reason reason, const std::string& what);

} // namespace imprint::package
