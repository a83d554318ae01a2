// SPDX-License-Identifier: Apache-2.0
// The arguments of method calls, strictly read: anything odd is Error(invalid_argument).
#pragma once

#include "daemon/base/file.h"
#include "dbus/handles.h"

#include <string>

namespace imprint::dbus {

std::string read_text(sd_bus_message* call); // s, at most 1,024 bytes
Bytes read_bytes(sd_bus_message* call, std::size_t limit); // ay
// h: a descriptor of our own for a connected socket or a terminal line (the message's is closed with the message).
Fd read_descriptor(sd_bus_message* call);

struct PersonalizeOptions {
    bool switch_afterwards = false; // "switch" b
};
PersonalizeOptions read_personalize_options(sd_bus_message* call); // a{sv}

} // namespace imprint::dbus
