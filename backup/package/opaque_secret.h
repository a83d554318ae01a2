// SPDX-License-Identifier: Apache-2.0
// Secrets that no TPM can use, as entries of a data package: enveloped under a key that the chip gives out.
#pragma once

#include "backup/package/data_package.h"
#include "daemon/base/secret.h"

namespace imprint::package {

// Which one: nothing that was enveloped for one can be opened as another.
struct OpaqueName {
    std::string_view chip_identifier;
    std::uint64_t sequence = 0;
    std::string_view label;
};

// AuthEnvelopedData under KEK = HKDF-SHA-256(secret, salt empty, info = "imprint/1 opaque" ‖ 0 ‖ chip identifier ‖ 0 ‖
// sequence, big-endian ‖ label), with SHA-256(info) as key identifier. `secret` are 32 random bytes for this one alone.
// Throws Error(package_invalid) for a content that is empty or larger than max_opaque.
Bytes seal_opaque(const Secret& content, const Secret& secret, const OpaqueName& name);
// Refusal(package_invalid) if it was changed or is another one.
Result<Secret> open_secret(BytesView enveloped, const Secret& secret, const OpaqueName& name);

} // namespace imprint::package
