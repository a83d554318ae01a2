// SPDX-License-Identifier: Apache-2.0
#include "provisioning/protocol/transaction_key.h"

#include "daemon/base/hkdf.h"
#include "daemon/structures/encode.h"
#include "daemon/structures/name.h"
#include "daemon/structures/policy.h"
#include "daemon/structures/wrap.h"

namespace imprint::protocol {

namespace {

using structures::concat;

constexpr std::size_t nonce_size = psk_identity_size - key_id_size;
constexpr std::size_t digest_size = 32;

Bytes labelled(std::string_view label, BytesView rest) { return concat(to_bytes(label), Bytes{0}, rest); }

} // namespace

TPMT_PUBLIC transaction_key_area(BytesView epoch_index_name, std::uint64_t odd_epoch)
{
    return structures::importable_hmac_key(structures::policy_epoch(epoch_index_name, odd_epoch));
}

bool is_transaction_key(const TPMT_PUBLIC& area, BytesView epoch_index_name, std::uint64_t odd_epoch)
{
    TPMT_PUBLIC expected = transaction_key_area(epoch_index_name, odd_epoch);
    expected.unique = area.unique;
    return area.type == TPM2_ALG_KEYEDHASH && area.unique.keyedHash.size == digest_size &&
        structures::name_of(area) == structures::name_of(expected);
}

Bytes new_psk_identity(BytesView key_id) { return concat(key_id, random_bytes(nonce_size)); }

std::optional<Bytes> key_id_of(BytesView psk_identity)
{
    if (psk_identity.size() != psk_identity_size)
        return std::nullopt;
    const auto id = psk_identity.first(key_id_size);
    return Bytes(id.begin(), id.end());
}

Bytes psk_input(BytesView psk_identity) { return labelled("imprint/1 psk", psk_identity); }

Bytes confirmation_input(BytesView channel_binding, BytesView key_id)
{
    return labelled("imprint/1 key confirmation", concat(channel_binding, key_id));
}

Secret transaction_hmac(const Secret& transaction_key, BytesView input) { return hmac_sha256(transaction_key, input); }

} // namespace imprint::protocol
