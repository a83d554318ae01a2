// SPDX-License-Identifier: Apache-2.0
#include "dbus/report.h"

#include "dbus/handles.h"
#include "dbus/properties.h"

namespace imprint::dbus {

void append_report(sd_bus_message* reply, const device::Recoverable& found)
{
    check(sd_bus_message_open_container(reply, 'a', "{sv}"), "answer a call");
    append_entry(reply, "chip-id", "s", found.chip_identifier);
    append_entry(reply, "sequence", "t", found.sequence);
    append_entry(reply, "recorded", "t", static_cast<std::uint64_t>(found.recorded.time_since_epoch().count()));
    append_entry(reply, "identity", "(ss)", std::pair(found.identity_kind, found.identity_value));
    append_entry(reply, "keys", "as", found.keys);
    append_entry(reply, "operating", "b", found.operating);
    check(sd_bus_message_close_container(reply), "answer a call");
}

} // namespace imprint::dbus
