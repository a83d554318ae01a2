// SPDX-License-Identifier: Apache-2.0
// Control groups of a test's own, in which a whole system lives and with which it dies.
#pragma once

#include "tests/support/process.h"

namespace imprint::test {

class ControlGroup {
public:
    // One in each hierarchy that systemd uses: the unified one, and beside it the one of version 1 where there is that.
    // Ends and removes those of earlier tests that were killed.
    ControlGroup();
    ~ControlGroup(); // kills what is left, and removes them
    ControlGroup(const ControlGroup&) = delete;
    ControlGroup& operator=(const ControlGroup&) = delete;

    const std::string& name() const { return name_; } // the same on this machine never again
    // The command, started inside.
    Arguments entering(const Arguments& command) const;

private:
    std::string name_;
};

} // namespace imprint::test
