// SPDX-License-Identifier: Apache-2.0
// Keys at rest: the database holds them encrypted under a storage key that it does not hold.
#pragma once

#include "daemon/base/error.h"
#include "daemon/base/secret.h"

namespace imprint::central {

class Sealer {
public:
    explicit Sealer(Secret storage_key); // 32 bytes

    // AES-256-GCM: a random nonce of 12 bytes, the ciphertext, the tag of 16 bytes. `associated` has to be the same for
    // open(): what else stands in the row, so that rows cannot be mixed.
    Bytes seal(const Secret& content, BytesView associated) const;
    // Refusal(transaction_key_invalid) for whatever seal() did not make.
    Result<Secret> open(BytesView sealed, BytesView associated) const;

private:
    Secret storage_key_;
};

} // namespace imprint::central
