// SPDX-License-Identifier: Apache-2.0
// Data packages: strictly parsed, deterministically serialized.
#pragma once

#include "backup/package/package.pb.h"
#include "daemon/base/bytes.h"
#include "daemon/base/error.h"

namespace imprint::package {

inline constexpr std::uint32_t format_version = 1;
inline constexpr std::size_t max_data_package = 128 * 1024;

Bytes serialize(const google::protobuf::MessageLite& message);

// version, labels (unique, [a-z0-9.-]{1,64}), at most 64 entries; every object an importable one (fixedTPM and
// fixedParent clear) whose policy is empty or known to hold no Duplicate: Refusal(package_invalid).
Result<DataPackage> parse_data_package(BytesView bytes);
// ... and it is for this chip and sequence.
Result<DataPackage> parse_data_package(BytesView bytes, std::string_view chip_identifier, std::uint64_t sequence);

} // namespace imprint::package
