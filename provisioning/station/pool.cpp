// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/pool.h"

#include "daemon/base/hkdf.h"
#include "daemon/pki/cms.h"
#include "daemon/structures/name.h"
#include "provisioning/server/symmetric_key.h"

#include <openssl/err.h>
#include <openssl/x509.h>

namespace imprint::station {

namespace {

constexpr std::size_t id_size = 16;
constexpr std::size_t max_sealed = 8 * 1024;

using Pkcs8 = Owned<PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free>;

// What an envelope is bound to.
Bytes info(const PooledPair& pair)
{
    Bytes bytes = to_bytes("imprint/1 pool");
    for (const auto& part : {pair.id, pair.kind}) {
        bytes.push_back(0);
        bytes.insert(bytes.end(), part.begin(), part.end());
    }
    return bytes;
}

Secret pkcs8(const EVP_PKEY* pair)
{
    const Pkcs8 encoded(EVP_PKEY2PKCS8(pair));
    const int size = encoded ? i2d_PKCS8_PRIV_KEY_INFO(encoded.get(), nullptr) : -1;
    if (size <= 0)
        throw openssl_error(Reason::internal, "cannot encode a key pair");
    Secret out(static_cast<std::size_t>(size));
    auto* end = out.data();
    i2d_PKCS8_PRIV_KEY_INFO(encoded.get(), &end);
    return out;
}

pki::Key from_pkcs8(const Secret& bytes)
{
    const auto* begin = bytes.data();
    const Pkcs8 encoded(d2i_PKCS8_PRIV_KEY_INFO(nullptr, &begin, static_cast<long>(bytes.size())));
    pki::Key key(encoded ? EVP_PKCS82PKEY(encoded.get()) : nullptr);
    ERR_clear_error();
    return key;
}

} // namespace

std::filesystem::path pool_key_path(const std::filesystem::path& state) { return state / "pool.key"; }

Secret load_pool_key(const std::string& source)
{
    return server::load_symmetric_key(source, "pool key of 32 bytes; imprint-station pool fill makes one");
}

Pool::Pool(Secret key)
    : key_(std::move(key))
{
}

void Pool::check(Store& store) const
{
    const auto pair = store.newest_pair();
    if (pair && !open(*pair))
        throw Error(Reason::not_configured,
                    "the pool's pairs were sealed under another pool key: bring that back, or see pool drain");
}

PooledPair Pool::seal(const EVP_PKEY* pair) const
{
    PooledPair out{.id = hex(random_bytes(id_size)), .kind = std::string(name(kind_of(pair).value()))};
    const Bytes bound = info(out);
    const Secret kek = hkdf_sha256(key_, bound, server::symmetric_key_size);
    out.sealed = pki::envelope(pkcs8(pair), kek, structures::digest(TPM2_ALG_SHA256, bound));
    return out;
}

Result<pki::Key> Pool::open(const PooledPair& pair) const
{
    const Bytes bound = info(pair);
    const Secret kek = hkdf_sha256(key_, bound, server::symmetric_key_size);
    const auto content = pki::open_envelope(pair.sealed, kek, structures::digest(TPM2_ALG_SHA256, bound), max_sealed);
    if (!content)
        return content.refusal();
    auto key = from_pkcs8(*content);
    const auto kind = key ? kind_of(key.get()) : std::nullopt;
    if (!kind || name(*kind) != pair.kind)
        return Refusal{Reason::package_invalid, "no pair of this kind"};
    return key;
}

Result<pki::Key> Pool::take(Store& store, PairKind kind, const std::string& chip, std::uint64_t sequence) const
{
    const auto pair = store.take_pair(std::string(name(kind)), chip, sequence);
    if (!pair)
        return Refusal{Reason::pool_empty,
                       "no " + std::string(name(kind)) + " pair is left: imprint-station pool fill makes more"};
    auto key = open(*pair);
    if (!key)
        throw Error(Reason::storage_failed, "pair " + pair->id + " of the pool: " + key.refusal().detail);
    return key;
}

} // namespace imprint::station
