// SPDX-License-Identifier: Apache-2.0
// The sensitive area (Part 2, clause 12.3.2) that goes with a public area.
#pragma once

#include "daemon/base/secret.h"

#include <tss2/tss2_tpm2_types.h>

namespace imprint::structures {

// Fills `sensitive` with `value`: the private scalar (ECC), one prime (RSA), the key (HMAC, at most 64 bytes) or the
// data (sealed, at most 128 bytes). For keyed hash objects it makes the seed value and sets `object`'s unique field.
// Throws Error(invalid_argument) if object and value do not belong together.
void fill_sensitive(TPMT_PUBLIC& object, TPMT_SENSITIVE& sensitive, const Secret& value);

} // namespace imprint::structures
