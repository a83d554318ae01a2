// SPDX-License-Identifier: Apache-2.0
// A service's private key, for the service itself and for what root does beside it.
#pragma once

#include "daemon/pki/key.h"

namespace imprint::server {

// The key at `uri` if one is given, or in `file`; or, where that is not there, the one that systemd keeps for the
// service, encrypted for this machine: /etc/credstore.encrypted/SERVICE.NAME-OF-THE-FILE, which only root can have
// decrypted. Throws Error(not_configured).
pki::Key load_service_key(const std::string& service, const std::filesystem::path& file, const std::string& uri,
                          const std::optional<Secret>& passphrase);

} // namespace imprint::server
