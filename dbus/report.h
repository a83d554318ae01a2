// SPDX-License-Identifier: Apache-2.0
// What the calls tell that check something.
#pragma once

#include "provisioning/device/device.h"

#include <systemd/sd-bus.h>

namespace imprint::dbus {

// a{sv}, as org.imprint.Device1(5) lists it.
void append_report(sd_bus_message* reply, const device::Recoverable& found);

} // namespace imprint::dbus
