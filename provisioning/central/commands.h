// SPDX-License-Identifier: Apache-2.0
// The operators' commands. Each returns the program's exit code; all work while the server runs.
#pragma once

#include "daemon/base/secret.h"
#include "provisioning/central/credentials.h"
#include "provisioning/central/store.h"

#include <filesystem>
#include <string>

namespace imprint::central {

// Exit codes that scripts can use.
inline constexpr int exit_ok = 0;
inline constexpr int exit_usage = 2; // of the command line or the configuration
inline constexpr int exit_failed = 1; // could not do

// The state directory with database and storage key; what is there already stays as it is.
int init(const std::filesystem::path& state);
// 32 bytes, from a file or "credential:name".
Secret load_storage_key(const std::string& source);

// The station's signing certificate in `station`, certified by this system's key (claim A27), in PEM to stdout.
int certify_station(const Credentials& credentials, const std::filesystem::path& station, pki::Time now);

int list_keys(Store& store, bool json);
int revoke_keys(Store& store, const std::string& chip);

} // namespace imprint::central
