// SPDX-License-Identifier: Apache-2.0
// The whole of Imprint in a test: factory and device are real programs on loopback addresses and a private bus.
#pragma once

#include "tests/support/daemon_process.h"
#include "tests/support/factory.h"

#include <gtest/gtest.h>

namespace imprint::test {

class WholeSystem : public testing::Test {
protected:
    WholeSystem()
        : device({.trust_bundle = factory.trust_bundle()})
    {
    }

    std::string state() const { return device.property("State"); }
    std::string epoch() const { return device.property("Epoch"); }
    std::string chip() const
    {
        const auto value = device.property("ChipId"); // s "..."
        return value.size() > 4 ? value.substr(3, 64) : value;
    }
    // Each returns what the program wrote if it fails, for EXPECT_EQ(..., "").
    std::string personalize() { return failure(device.imprintctl({"personalize", factory.station_address()})); }
    std::string enter_personalization() { return failure(device.imprintctl({"enter-personalization"})); }
    std::string recover() { return failure(device.imprintctl({"recover", factory.archive_address()})); }

    static std::string failure(const Finished& finished)
    {
        return finished.status == 0 ? "" : finished.out + finished.err + " (" + std::to_string(finished.status) + ")";
    }

    Factory factory;
    DaemonProcess device;
};

} // namespace imprint::test
