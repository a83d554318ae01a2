// SPDX-License-Identifier: Apache-2.0
#include "provisioning/central/transaction_keys.h"

#include "daemon/structures/encode.h"
#include "daemon/structures/name.h"
#include "provisioning/protocol/transaction_key.h"

namespace imprint::central {

namespace {

using structures::big_endian;

// All of the row: none of its fields can be changed, or be another row's.
Bytes associated_data(const StoredKey& row)
{
    const auto seconds = [](pki::Time time) {
        return big_endian(static_cast<std::uint64_t>(time.time_since_epoch().count()));
    };
    const auto digest = [](BytesView field) { return structures::digest(TPM2_ALG_SHA256, field); };
    const auto name = [&digest](const CertificateName& of) {
        return structures::concat(digest(of.issuer), digest(as_bytes(of.serial)));
    };
    return structures::concat(to_bytes("imprint/1 stored transaction key"), Bytes{0}, row.id, to_bytes(row.chip),
                              big_endian(row.epoch), seconds(row.made), seconds(row.rotate_after),
                              seconds(row.not_after), digest(as_bytes(row.identity.kind)),
                              digest(as_bytes(row.identity.value)), name(row.module), name(row.station));
}

} // namespace

NewKey make_key(const pki::Certificates& chain, const Peer& peer, KeyLifetimes lifetimes, pki::Time now)
{
    const auto& module = chain.at(0);
    const auto& issuer = chain.at(1);
    const pki::Time end = std::min({now + lifetimes.whole, module.not_after(), issuer.not_after()});
    return {{.id = random_bytes(protocol::key_id_size),
             .chip = peer.chip,
             .epoch = peer.epoch,
             .identity = peer.identity,
             .made = now,
             .rotate_after = std::min(now + lifetimes.rotate_after, end),
             .not_after = end,
             .module = name_of(module),
             .station = name_of(issuer),
             .sealed = {}},
            random_secret(protocol::transaction_key_size)};
}

StoredKey seal(const Sealer& sealer, NewKey key)
{
    key.row.sealed = sealer.seal(key.key, associated_data(key.row));
    return std::move(key.row);
}

std::optional<FoundKey> find_key(Store& store, BytesView psk_identity, const pki::Trust& trust, pki::Time now)
{
    const auto id = protocol::key_id_of(psk_identity);
    auto row = id ? store.find(*id) : std::nullopt;
    if (!row || row->not_after <= now)
        return std::nullopt;
    if (is_revoked({row->module, row->station}, trust.crls))
        return std::nullopt;
    Peer peer{row->identity, row->chip, row->epoch, Means::psk};
    return FoundKey{*std::move(row), std::move(peer)};
}

std::optional<Secret> psk_of(const Sealer& sealer, const FoundKey& found, BytesView psk_identity)
{
    const auto key = sealer.open(found.row.sealed, associated_data(found.row));
    if (!key)
        return std::nullopt;
    return protocol::transaction_hmac(*key, protocol::psk_input(psk_identity));
}

} // namespace imprint::central
