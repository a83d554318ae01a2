// SPDX-License-Identifier: Apache-2.0
// Pairs that were made in advance. Each lies in the store in a CMS envelope of its own, whose key is wrapped under a
// key from the pool key and the row: without the pool key, which is never in the store, or in another row it opens
// nothing.
#pragma once

#include "provisioning/station/pair.h"
#include "provisioning/station/store.h"

namespace imprint::station {

std::filesystem::path pool_key_path(const std::filesystem::path& state); // where it is if nothing else was said
// From a file, or from "credential:name". Throws Error(not_configured).
Secret load_pool_key(const std::string& source);

class Pool : public PairSource {
public:
    explicit Pool(Secret key); // 32 bytes

    // Throws Error(not_configured) if the pairs of the store were sealed under another key.
    void check(Store& store) const;
    PooledPair seal(const EVP_PKEY* pair) const; // ready for add_pair()
    // Throws Error(storage_failed) for a row that was changed.
    Result<pki::Key> take(Store& store, PairKind kind, const std::string& chip, std::uint64_t sequence) const override;

private:
    Result<pki::Key> open(const PooledPair& pair) const;

    Secret key_;
};

} // namespace imprint::station
