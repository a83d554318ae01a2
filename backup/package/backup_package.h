// SPDX-License-Identifier: Apache-2.0
// The backup package: CMS AuthEnvelopedData under a KEK that only this chip can get back.
#pragma once

#include "backup/package/data_package.h"
#include "daemon/base/secret.h"

#include <array>

namespace imprint::package {

inline constexpr std::size_t secret_size = 32;
// Content is padded up to one of these (bytes of the serialized BackupContent).
inline constexpr std::array<std::size_t, 4> padded_sizes{4096, 16384, 65536, 163840};
// The whole CMS structure around the largest of them.
inline constexpr std::size_t max_backup_package = padded_sizes.back() + 1024;

// KEK = HKDF-SHA-256(secret, salt empty, info = "imprint/1 backup" ‖ 0 ‖ chip identifier ‖ 0 ‖ sequence, big-endian).
Secret derive_kek(const Secret& secret, std::string_view chip_identifier, std::uint64_t sequence);

// What the envelope's KEKRecipientInfo carries: SHA-256 of the same info. It tells nothing that the record does not,
// and has one length for all, so that backup packages have as few sizes as their contents.
Bytes key_identifier(std::string_view chip_identifier, std::uint64_t sequence);

// Pads and envelopes. Throws Error(package_invalid) if it is larger than the largest size.
Bytes seal(BackupContent content, const Secret& secret);
// Opens and checks version, chip identifier, sequence and padding: Refusal(record_invalid).
Result<BackupContent> open(BytesView enveloped, const Secret& secret, std::string_view chip_identifier,
                           std::uint64_t sequence);

} // namespace imprint::package
