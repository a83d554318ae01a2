// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/channel_key.h"

#include "daemon/base/hkdf.h"
#include "daemon/pki/key.h"
#include "provisioning/server/symmetric_key.h"

#include <openssl/err.h>

namespace imprint::station {

namespace {

Bytes info_of(std::string_view label, std::uint32_t version, const pki::DeviceIdentity& identity)
{
    Bytes info = to_bytes("imprint/1 channel");
    const auto append = [&info](std::string_view text) { info.insert(info.end(), text.begin(), text.end()); };
    info.push_back(0);
    append(label);
    info.push_back(0);
    for (int shift = 24; shift >= 0; shift -= 8)
        info.push_back(static_cast<std::uint8_t>(version >> shift));
    append(identity.kind);
    info.push_back(0);
    append(identity.value);
    return info;
}

Secret raw_key(const std::string& uri, const std::optional<Secret>& passphrase)
{
    const auto key = pki::load_key(uri, passphrase);
    Secret out(channel_key_size);
    std::size_t size = out.size();
    const bool raw = (EVP_PKEY_is_a(key.get(), "ED25519") == 1 || EVP_PKEY_is_a(key.get(), "X25519") == 1) &&
        EVP_PKEY_get_raw_private_key(key.get(), out.data(), &size) == 1 && size == out.size();
    ERR_clear_error();
    if (!raw)
        throw Error(Reason::not_configured, uri + " gives no 32 bytes for a master key: an Ed25519 key would");
    return out;
}

} // namespace

Secret derive_channel_key(const Secret& master_key, std::string_view label, std::uint32_t version,
                          const pki::DeviceIdentity& identity)
{
    return hkdf_sha256(master_key, info_of(label, version, identity), channel_key_size);
}

Secret load_master_key(const std::string& source, const std::optional<Secret>& passphrase)
{
    if (source.find(':') != std::string::npos && !source.starts_with('/') && !source.starts_with("credential:"))
        return raw_key(source, passphrase);
    return server::load_symmetric_key(source, "master key of 32 bytes; imprint-station init makes one");
}

void make_master_key(const std::filesystem::path& path)
{
    server::make_symmetric_key(path, "every device's channel key hangs on it");
}

} // namespace imprint::station
