// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/channel_key.h"

#include "daemon/base/hkdf.h"
#include "provisioning/server/symmetric_key.h"

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

} // namespace

Secret derive_channel_key(const Secret& master_key, std::string_view label, std::uint32_t version,
                          const pki::DeviceIdentity& identity)
{
    return hkdf_sha256(master_key, info_of(label, version, identity), channel_key_size);
}

Secret load_master_key(const std::string& source)
{
    return server::load_symmetric_key(source, "master key of 32 bytes; imprint-station init makes one");
}

void make_master_key(const std::filesystem::path& path)
{
    server::make_symmetric_key(path, "every device's channel key hangs on it");
}

} // namespace imprint::station
