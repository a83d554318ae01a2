// SPDX-License-Identifier: Apache-2.0
// A factory on this machine, and a device that is a virtual one and reaches the factory over its network.
#pragma once

#include "tests/machine/machine.h"
#include "tests/support/factory.h"

#include <gtest/gtest.h>

#include <set>

namespace imprint::test {

class OnAMachine : public testing::Test {
protected:
    OnAMachine();

    // What the maker of an appliance puts into its image: the trust bundle and the addresses.
    void equip(const Machine& machine) const;

    // imprintctl in the guest; empty where it succeeds, for EXPECT_EQ(..., ""), else what it said.
    static std::string ctl(Machine& machine, const std::string& arguments);
    std::string ctl(const std::string& arguments) { return ctl(device, arguments); }
    // The name of the reason why it is refused; empty where it succeeds.
    static std::string reason(Machine& machine, const std::string& arguments);
    std::string reason(const std::string& arguments) { return reason(device, arguments); }
    static std::string property(Machine& machine, const std::string& name); // as busctl prints it
    std::string property(const std::string& name) { return property(device, name); }
    static std::string state(Machine& machine); // "operating"
    std::string state() { return state(device); }

    // All that the state consists of: the disk's files, the TPM's handles and counter, what imprintd says.
    static std::string everything(Machine& machine);
    // Its handles, and what our indices hold. Objects are not told here: the resource manager shows each its own.
    static std::string tpm_contents(Machine& machine, const std::string& tcti = "device:/dev/tpmrm0");
    static void lose_state(Machine& machine); // the state directory, with imprintd stopped

    Factory factory;
    Machine device;
};

} // namespace imprint::test
