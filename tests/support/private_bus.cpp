// SPDX-License-Identifier: Apache-2.0
#include "tests/support/private_bus.h"

#include <stdexcept>

namespace imprint::test {

namespace {

std::filesystem::path write_configuration(const std::filesystem::path& directory, const std::string& address,
                                          const std::string& policy)
{
    const std::string text = R"(<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <auth>EXTERNAL</auth>
  <listen>)" +
        address + "</listen>\n" + policy + "</busconfig>\n";
    const auto file = directory / "bus.conf";
    write_file(file, as_bytes(text));
    return file;
}

} // namespace

const std::string PrivateBus::permissive = R"(  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow receive_sender="*" eavesdrop="true"/>
  </policy>
)";

PrivateBus::PrivateBus(const std::filesystem::path& directory, const std::string& policy)
    : address_("unix:path=" + (directory / "bus").string())
    , daemon_({"dbus-daemon", "--config-file=" + write_configuration(directory, address_, policy).string(), "--nofork",
               "--nopidfile", "--nosyslog", "--print-address"},
              {}, directory / "bus.log")
{
    if (!daemon_.line_after("unix:"))
        throw std::runtime_error("dbus-daemon does not start");
}

} // namespace imprint::test
