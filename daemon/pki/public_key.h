// SPDX-License-Identifier: Apache-2.0
// Public keys from whoever keeps the private half to himself.
#pragma once

#include "daemon/base/bytes.h"

#include <filesystem>

namespace imprint::pki {

// SubjectPublicKeyInfo (DER) from a PEM file with a public key, or with a certificate request, whose signature must
// hold; nothing else of the request is used. Throws Error(invalid_argument).
Bytes read_public_key(const std::filesystem::path& file);

// A SubjectPublicKeyInfo (DER) as "-----BEGIN PUBLIC KEY-----". Throws Error(invalid_argument) for anything else.
Bytes public_key_pem(BytesView spki);

} // namespace imprint::pki
