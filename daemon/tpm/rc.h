// SPDX-License-Identifier: Apache-2.0
// The one place where a TPM or TSS response code becomes a reason and a sentence.
#pragma once

#include "daemon/base/error.h"

#include <tss2/tss2_common.h>

namespace imprint::tpm {

Reason reason_of(TSS2_RC rc);
// "cannot <doing>: <tss2-rc's words> (0x...)".
Error error_of(TSS2_RC rc, const std::string& doing);
// The command changed nothing and may be sent again at once: RETRY, YIELDED, TESTING and the like. Never an
// authorization failure.
bool may_retry(TSS2_RC rc);

} // namespace imprint::tpm
