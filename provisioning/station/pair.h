// SPDX-License-Identifier: Apache-2.0
// Private/public pairs for devices: made in software, then wrapped for a chip's storage key and forgotten.
#pragma once

#include "daemon/base/error.h"
#include "daemon/pki/key.h"
#include "daemon/structures/wrap.h"

#include <string_view>

namespace imprint::station {

class Store;

enum class PairKind { p256, p384, rsa2048, rsa3072 };

std::string_view name(PairKind kind); // "p256": as profiles and a TPM's capabilities have it
std::optional<PairKind> pair_kind(std::string_view name);
bool is_rsa(PairKind kind);

// A new one; its private part is cleansed with the last copy of the handle.
pki::Key make_pair(PairKind kind);
// Nothing for a key of another kind.
std::optional<PairKind> kind_of(const EVP_PKEY* pair);

// What a wrap needs: the importable object's public area, without a policy, and the private scalar or one prime.
TPMT_PUBLIC public_area(const EVP_PKEY* pair, structures::KeyUse use);
Secret private_value(const EVP_PKEY* pair);

// Where pairs come from that were made in advance.
class PairSource {
public:
    PairSource() = default;
    PairSource(const PairSource&) = delete;
    PairSource& operator=(const PairSource&) = delete;
    virtual ~PairSource() = default;

    // One for this chip and sequence, out of `store` for good; inside the transaction of the grant, which may still
    // fail. Refusal(pool_empty).
    virtual Result<pki::Key> take(Store& store, PairKind kind, const std::string& chip,
                                  std::uint64_t sequence) const = 0;
};

} // namespace imprint::station
