// SPDX-License-Identifier: Apache-2.0
// The real polkitd on the test's bus, with our actions and rules of the test's.
#pragma once

#include "tests/dbus/fixture.h"

#include <optional>
#include <string>

namespace imprint::test {

inline const std::string denied = "org.imprint.Error.NotAuthorized";

// polkitd gets a file system view of its own, in which actions and rules stand where it looks for them.
class WithPolkit : public OnTheBus {
protected:
    explicit WithPolkit(const std::string& rules);
    std::optional<Process> polkit;
};

// Sees what polkit is asked.
class PolkitMonitor {
public:
    explicit PolkitMonitor(const DaemonProcess& device);
    // Waits for the next question.
    bool asked() { return monitor_.line_after("method call").has_value(); }
    // Its subject, in dbus-monitor's lines.
    std::optional<std::string> line_after(const std::string& prefix) { return monitor_.line_after(prefix); }
    // "personalize" for the next question about org.imprint.Device1.personalize.
    std::string action();

private:
    Process monitor_;
};

} // namespace imprint::test
