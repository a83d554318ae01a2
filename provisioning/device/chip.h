// SPDX-License-Identifier: Apache-2.0
// What chip.pb remembers of the TPM, to and from the security module's terms.
#pragma once

#include "daemon/lifecycle/store.h"
#include "daemon/tpm/security_module.h"

namespace imprint::device {

// The file for a TPM about to be prepared: the chosen endorsement key (`chosen`, an index) first.
lifecycle::Chip begin_chip(std::vector<tpm::EndorsementKey> keys, std::size_t chosen);
// Notes the Names that the preparation led to. Throws Error(tpm_replaced) if other ones were noted before: the same
// endorsement certificate on another TPM.
lifecycle::Chip finish_chip(lifecycle::Chip chip, tpm::SecurityModule& module);

// The endorsement key that the chip is known by. Throws Error(storage_failed) if its area cannot be read.
tpm::EndorsementKey chosen_key(const lifecycle::Chip& chip);

} // namespace imprint::device
