// SPDX-License-Identifier: Apache-2.0
// imprintctl connect: channels to the central system for programs that know standard input and output, or Unix sockets.
#pragma once

#include "dbus/imprintctl/client.h"

#include <filesystem>
#include <string>

namespace imprint::ctl {

struct Target {
    std::string address; // empty: as configured
    std::string alpn; // empty: none
};

// Joins one channel to standard input and output, until it ends. A signal ends the process at once.
void connect_standard_streams(Client& client, const Target& target);

// Opens a channel for every connection to a Unix socket that only this user can connect to, until SIGINT or SIGTERM.
// A channel that cannot be had closes its connection, and `failed` is told why.
void serve_socket(Client& client, const Target& target, const std::filesystem::path& path,
                  std::function<void(const Failure&)> failed);

} // namespace imprint::ctl
