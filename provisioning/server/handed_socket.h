// SPDX-License-Identifier: Apache-2.0
// Listening sockets that the service manager made (systemd.socket(5)): ports below 1024 without a privilege, and no
// connection lost while a server starts anew.
#pragma once

#include "daemon/base/file.h"

#include <string>

namespace imprint::server {

// A descriptor of the one stream socket that was handed over under this name (FileDescriptorName=, which is the socket
// unit's own where nothing else is said). Throws Error(not_configured) if there is none, more than one, or another
// kind.
Fd handed_socket(const std::string& name);

} // namespace imprint::server
