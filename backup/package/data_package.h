// SPDX-License-Identifier: Apache-2.0
// Data packages: strictly parsed, deterministically serialized.
#pragma once

#include "backup/package/package.pb.h"
#include "daemon/base/bytes.h"
#include "daemon/base/error.h"
#include "daemon/protobuf/canonical.h"

namespace imprint::package {

using protobuf::serialize; // the one encoding of the messages of this folder

inline constexpr std::uint32_t format_version = 1;
inline constexpr std::size_t max_data_package = 128 * 1024;
inline constexpr int max_entries = 64;
inline constexpr std::size_t max_opaque = 64 * 1024; // an opaque secret
inline constexpr std::size_t max_enveloped = max_opaque + 1024; // and its CMS

bool is_label(std::string_view text); // what an entry may be called: 1 to 64 of [a-z0-9.-]

// version, chip identifier, identity, an odd sequence; labels (unique, [a-z0-9.-]{1,64}), at most 64 entries; every
// object an importable one, or a loadable one under the package's parent, with an empty policy (which forbids
// TPM2_Duplicate; others become acceptable once they are known to hold no Duplicate, DuplicationSelect or Authorize);
// each for one use: a key that signs or decrypts, or the secret that opens what is enveloped beside it, which is never
// under the parent; a certificate is for the entry's own key. A parent has children, and is of its template.
// Refusal(package_invalid).
Result<DataPackage> parse_data_package(BytesView bytes);
// ... and it is for this chip and sequence.
Result<DataPackage> parse_data_package(BytesView bytes, std::string_view chip_identifier, std::uint64_t sequence);

} // namespace imprint::package
