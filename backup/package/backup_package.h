// SPDX-License-Identifier: Apache-2.0
// The backup package: CMS AuthEnvelopedData under a KEK that only this chip can get back.
#pragma once

#include "backup/package/data_package.h"
#include "daemon/base/secret.h"

namespace imprint::package {

inline constexpr std::size_t secret_size = 32;
// Content is padded up to one of these (bytes of the serialized BackupContent).
inline constexpr std::array<std::size_t, 4> padded_sizes{4096, 16384, 65536, 163840};

// KEK = HKDF-SHA-256(secret, salt empty, info = "imprint/1 backup" ‖ 0 ‖ chip identifier ‖ 0 ‖ sequence, big-endian).
Secret derive_kek(const Secret& secret, std::string_view chip_identifier, std::uint64_t sequence);

// Pads and envelopes. Throws Error(package_invalid) if it is larger than the largest size.
Bytes seal(BackupContent content, const Secret& secret);
// Opens and checks version, chip identifier, sequence and padding: Refusal(record_invalid).
Result<BackupContent> open(BytesView enveloped, const Secret& secret, std::string_view chip_identifier,
                           std::uint64_t sequence);

} // namespace imprint::package
