// SPDX-License-Identifier: Apache-2.0
// What a connection to the central system needs of one epoch's operating state.
#pragma once

#include "daemon/lifecycle/store.h"
#include "daemon/pki/verify.h"
#include "daemon/tls/stream.h"
#include "daemon/tpm/worker.h"
#include "provisioning/device/transaction_keys.h"

#include <functional>

namespace imprint::device {

// Immutable, and shared by the connections that began with it.
struct Operating {
    std::uint64_t epoch = 0;
    pki::Trust trust;
    // SHA-256 of the keys that the central system may have now (claim A25); none known: empty. Any thread.
    std::function<std::vector<Bytes>()> central_keys;
    std::function<void(BytesView)> update_central; // Device::update_central
    std::shared_ptr<TransactionKeys> transactions; // null: none are to be used
    tls::SharedContext context; // shows the module certificate, signs with the module key
};

// What the file of the epoch gives; the functions and `transactions` are left to the caller. `provider` and `worker`
// outlive it. Throws Error(storage_failed) if the file does not hold what it should.
Operating operating(const lifecycle::Personalization& file, pki::Trust trust, const tls::Provider& provider,
                    tpm::Worker& worker);

// The module certificate and those of its issuers that the file has, in their order; the anchor is not among them.
pki::Certificates module_chain(const lifecycle::Personalization& file);

} // namespace imprint::device
