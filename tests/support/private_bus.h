// SPDX-License-Identifier: Apache-2.0
// A system bus of the test's own: the real dbus-daemon.
#pragma once

#include "tests/support/process.h"

namespace imprint::test {

class PrivateBus {
public:
    // The policy of a bus on which every user may own, send and receive everything.
    static const std::string permissive;
    // Listens on <directory>/bus. `policy`: <policy> elements.
    explicit PrivateBus(const std::filesystem::path& directory, const std::string& policy = permissive);
    // What sd_bus_open_system(), busctl and gdbus need to find it.
    Environment environment() const { return {{"DBUS_SYSTEM_BUS_ADDRESS", address_}}; }
    const std::string& address() const { return address_; }

private:
    std::string address_;
    Process daemon_;
};

} // namespace imprint::test
