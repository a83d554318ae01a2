// SPDX-License-Identifier: Apache-2.0
// The one place where a TPM or TSS response code becomes a reason and a sentence.
#pragma once

#include "daemon/base/error.h"

#include <tss2/tss2_common.h>

namespace imprint::tpm {

// RETRY, TESTING and YIELDED have been answered by sending the command again (ESYS does so, five times) before they
// come here. Nothing else is ever sent again, least of all an authorization that failed.
Reason reason_of(TSS2_RC rc);
// "cannot <doing>: <tss2-rc's words> (0x...)".
Error error_of(TSS2_RC rc, const std::string& doing);
// The handle names nothing in this TPM: no such object or index.
bool is_missing(TSS2_RC rc);
// The transient object that a command was for has been flushed.
bool is_gone(TSS2_RC rc);

// The TPM does not take a value that came with the command: its size, its range, a scheme, a point that is on no curve.
bool is_unfit(TSS2_RC rc);

} // namespace imprint::tpm
