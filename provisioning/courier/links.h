// SPDX-License-Identifier: Apache-2.0
// The courier's local side: how it reaches the device.
#pragma once

#include "provisioning/protocol/link.h"

#include <memory>

namespace imprint::courier {

// "unix:/path", "serial:/dev/ttyUSB0", "serial:/dev/ttyUSB0,9600", "dbus" (this machine's system bus), "ssh:user@host"
// (that machine's system bus). Throws Error(invalid_argument | connection_refused | timed_out).
std::unique_ptr<protocol::Introducible> open_link(const std::string& link);

} // namespace imprint::courier
