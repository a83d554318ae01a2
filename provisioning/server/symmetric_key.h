// SPDX-License-Identifier: Apache-2.0
// The servers' own secret keys: 32 random bytes in a file or a credential.
#pragma once

#include "daemon/base/secret.h"

#include <filesystem>
#include <string>

namespace imprint::server {

inline constexpr std::size_t symmetric_key_size = 32;

// From a file, or from "credential:name" (as credential_path() has it). `what` says what it is and who makes it, for
// the Error(not_configured).
Secret load_symmetric_key(const std::string& source, const std::string& what);
// A new one. Throws Error(storage_failed) if the file exists; `why` says what hangs on it.
void make_symmetric_key(const std::filesystem::path& path, const std::string& why);

} // namespace imprint::server
