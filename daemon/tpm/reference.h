// SPDX-License-Identifier: Apache-2.0
// What stands at a persistent handle or an NV index.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/tpm/object.h"

#include <vector>

namespace imprint::tpm {

// Nothing: the handle names nothing in this TPM. [1]
Persistent look_up(const Connection& connection, TPM2_HANDLE handle);
// ESYS forgets it; the TPM does not learn of it.
void forget(const Connection& connection, Persistent& object);

// The public area that ESYS took from the TPM and would salt to. Its Name is computed and compared with the one that
// the TPM gave: Error(tpm_intercepted). (An area with a hash that we do not know is not checked: never ours.)
TPMT_PUBLIC public_of(const Connection& connection, const Persistent& key);
TPMS_NV_PUBLIC nv_public_of(const Connection& connection, const Persistent& index);

// The handles in use from `first` to `last`. [1, more where the TPM has more to say]
std::vector<TPM2_HANDLE> handles(const Connection& connection, TPM2_HANDLE first, TPM2_HANDLE last);

// Reads an index under its own (empty) authorization, `piece` bytes a command.
Bytes read_index(const Connection& connection, const Persistent& index, std::size_t size, std::size_t piece);

} // namespace imprint::tpm
