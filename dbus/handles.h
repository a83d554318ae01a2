// SPDX-License-Identifier: Apache-2.0
// libsystemd's handles, owned.
#pragma once

#include "daemon/base/error.h"
#include "daemon/base/owned.h"

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include <cstring>

namespace imprint::dbus {

using Bus = Owned<sd_bus, sd_bus_flush_close_unref>;
using Message = Owned<sd_bus_message, sd_bus_message_unref>;
using Slot = Owned<sd_bus_slot, sd_bus_slot_unref>;
using Event = Owned<sd_event, sd_event_unref>;
using EventSource = Owned<sd_event_source, sd_event_source_disable_unref>;

// A further reference of one's own.
inline Message keep(sd_bus_message* message) { return Message(sd_bus_message_ref(message)); }

// What libsystemd returned, or Error(internal) "cannot <doing>: <strerror>".
inline int check(int result, const char* doing)
{
    if (result < 0)
        throw Error(Reason::internal, std::string("cannot ") + doing + ": " + std::strerror(-result));
    return result;
}

// Answers the call with what `fill` appends to the message. Returns what sending it did.
template <class Fill>
int reply_with(sd_bus_message* call, Fill&& fill)
{
    sd_bus_message* raw = nullptr;
    check(sd_bus_message_new_method_return(call, &raw), "answer a call");
    const Message reply(raw);
    fill(raw);
    return sd_bus_send(nullptr, raw, nullptr);
}

// The service's names on the bus.
inline constexpr auto* service_name = "org.imprint.Device1";
inline constexpr auto* object_path = "/org/imprint/Device1";
inline constexpr auto* interface_name = "org.imprint.Device1";

} // namespace imprint::dbus
