// SPDX-License-Identifier: Apache-2.0
#include "provisioning/courier/links.h"

#include "daemon/base/serial.h"
#include "dbus/bus_device.h"
#include "provisioning/courier/line_device.h"

namespace imprint::courier {

namespace {

constexpr std::chrono::seconds connect_patience{10};
constexpr std::chrono::seconds bus_patience{30};

// What follows the prefix, if the text has it.
std::optional<std::string> after(const std::string& text, std::string_view prefix)
{
    if (!text.starts_with(prefix))
        return std::nullopt;
    return text.substr(prefix.size());
}

std::unique_ptr<protocol::Introducible> over_line(Fd line)
{
    return std::make_unique<LineDevice>(std::move(line), LineDevice::Patience{});
}

Fd connect_unix(const std::string& link)
{
    const tls::Cancel never;
    return tls::connect(link, 1, std::chrono::steady_clock::now() + connect_patience, never);
}

} // namespace

std::unique_ptr<protocol::Introducible> open_link(const std::string& link)
{
    if (link.starts_with("unix:"))
        return over_line(connect_unix(link));
    if (is_serial(link))
        return over_line(open_serial(parse_serial(link)));
    if (link == "dbus")
        return std::make_unique<dbus::BusDevice>(dbus::BusDevice::system_bus(), bus_patience);
    if (const auto host = after(link, "ssh:"))
        return std::make_unique<dbus::BusDevice>(dbus::BusDevice::remote_bus(*host), bus_patience);
    throw Error(Reason::invalid_argument,
                "no link: \"" + link + "\"; there are unix:/PATH, serial:/DEVICE[,SPEED], dbus and ssh:[USER@]HOST");
}

} // namespace imprint::courier
