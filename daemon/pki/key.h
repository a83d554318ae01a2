// SPDX-License-Identifier: Apache-2.0
// Private keys of programs (not of the TPM): made in memory, stored as encrypted PKCS#8, loaded through OSSL_STORE
// URIs.
#pragma once

#include "daemon/base/owned.h"
#include "daemon/base/secret.h"

#include <openssl/evp.h>

#include <filesystem>
#include <optional>
#include <string>

namespace imprint::pki {

using Key = Owned<EVP_PKEY, EVP_PKEY_free>;

// "P-256" or "P-384".
Key generate_key(const std::string& curve);
Bytes spki(EVP_PKEY* key);

// Loads the private key at an OSSL_STORE URI (a plain path is a file). Throws Error(not_configured) with a hint
// when it is not there, cannot be decrypted or is no private key.
Key load_key(const std::string& uri, const std::optional<Secret>& passphrase);
// The same for one that is in memory, as a file has it; `source` is where it was, for the message.
Key decode_key(const Secret& encoded, const std::string& source, const std::optional<Secret>& passphrase);

// PKCS#8 PEM, mode 0600, AES-256-CBC with scrypt/PBKDF2 where a passphrase is given. Never overwrites:
// Error(storage_failed) if the file exists.
void store_key(const std::filesystem::path& path, EVP_PKEY* key, const std::optional<Secret>& passphrase);

// A passphrase from where secrets may come: "fd:3" (one line), "credential:name" ($CREDENTIALS_DIRECTORY).
// Nothing for an empty source. Throws Error(invalid_argument) for anything else: never argv, never the environment.
std::optional<Secret> read_passphrase(const std::string& source);

} // namespace imprint::pki
