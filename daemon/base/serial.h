// SPDX-License-Identifier: Apache-2.0
// Serial lines: how an operator names one, and the open line, raw and nobody else's.
#pragma once

#include "daemon/base/file.h"

#include <string>
#include <string_view>

namespace imprint {

struct SerialAddress {
    std::string device; // "/dev/ttyS1"
    unsigned baud = 115200;
};

bool is_serial(std::string_view address); // begins with "serial:"
// "serial:/dev/ttyS1" or "serial:/dev/ttyS1,9600". Throws Error(invalid_argument).
SerialAddress parse_serial(const std::string& address);

// Opens the line: raw, 8N1, without flow control, nonblocking, whatever has arrived before thrown away, and locked
// against other programs. Throws Error(not_configured) if there is no such line or speed, Error(busy) if somebody else
// has it.
Fd open_serial(const SerialAddress& address);

} // namespace imprint
