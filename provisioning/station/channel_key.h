// SPDX-License-Identifier: Apache-2.0
// Symmetric keys of the channel between manufacturer and device, derived from a master key and the device identity:
// whoever has the master key can talk to every device without keeping a list.
#pragma once

#include "daemon/base/secret.h"
#include "daemon/pki/profile.h"

#include <filesystem>
#include <optional>

namespace imprint::station {

inline constexpr std::size_t channel_key_size = 32;

// HKDF-SHA-256 (RFC 5869): key = master key, salt empty,
// info = "imprint/1 channel" ‖ 0 ‖ label ‖ 0 ‖ version (32 bits, big-endian) ‖ identity kind ‖ 0 ‖ identity value.
Secret derive_channel_key(const Secret& master_key, std::string_view label, std::uint32_t version,
                          const pki::DeviceIdentity& identity);

// 32 bytes from a file, from "credential:name" (as credential_path() has it), or from any other OSSL_STORE URI, as the
// private key of an Ed25519 or X25519 key, the only ones that OpenSSL's stores keep as 32 bytes. Throws
// Error(not_configured), also where a store does not let the bytes out.
Secret load_master_key(const std::string& source, const std::optional<Secret>& passphrase);
// A new one. Throws Error(storage_failed) if the file exists: every device's key hangs on it.
void make_master_key(const std::filesystem::path& path);

} // namespace imprint::station
