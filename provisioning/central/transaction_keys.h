// SPDX-License-Identifier: Apache-2.0
// Transaction keys at the central system: made, sealed for the database, and found again by the PSK identities that
// devices derive from them.
#pragma once

#include "daemon/pki/verify.h"
#include "provisioning/central/peer.h"
#include "provisioning/central/sealing.h"
#include "provisioning/central/store.h"

namespace imprint::central {

struct KeyLifetimes {
    std::chrono::seconds rotate_after = std::chrono::days(7);
    std::chrono::seconds whole = std::chrono::days(30);
};

// A fresh key for the device with this certificate and its issuer: not stored and not sealed yet. No key outlives its
// certificates.
struct NewKey {
    StoredKey row;
    Secret key;
};
NewKey make_key(const pki::Certificates& chain, const Peer& peer, KeyLifetimes lifetimes, pki::Time now);
// The row for the database.
StoredKey seal(const Sealer& sealer, NewKey key);

// The key behind a PSK identity, and its device, where it is good at this moment: known, neither expired nor its
// certificate on a list of `trust`. Nothing otherwise. Reads `store` only.
struct FoundKey {
    StoredKey row;
    Peer peer;
};
std::optional<FoundKey> find_key(Store& store, BytesView psk_identity, const pki::Trust& trust, pki::Time now);
// The pre-shared key of one identity; nothing for a row that was tampered with.
std::optional<Secret> psk_of(const Sealer& sealer, const FoundKey& found, BytesView psk_identity);

} // namespace imprint::central
