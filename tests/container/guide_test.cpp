// SPDX-License-Identifier: Apache-2.0
// The guide for the first device, daemon/first-device.md, typed in from the third step on: board and desk are one
// machine.
#include "tests/container/appliance.h"

#include "tests/support/manufacture.h"

#include <gtest/gtest.h>

#include <sstream>

namespace imprint::test {
namespace {

constexpr std::size_t max_guide = 1 << 16;

// What a guide's indented lines say, by the headings of their sections.
std::map<std::string, std::string> scripts()
{
    std::istringstream lines(
        to_string(read_file(std::filesystem::path(IMPRINT_SOURCE) / "daemon/first-device.md", max_guide).value()));
    std::map<std::string, std::string> found;
    std::string section;
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("## "))
            section = line.substr(3);
        if (!line.starts_with("    "))
            continue;
        line.erase(0, 4);
        for (const std::string prompt : {"board# ", "desk#  ", "desk# "})
            if (line.starts_with(prompt)) {
                line.erase(0, prompt.size());
                break;
            }
        found[section] += line + '\n';
    }
    return found;
}

std::string replaced(std::string text, const std::string& what, const std::string& with)
{
    for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size())
        text.replace(at, what.size(), with);
    return text;
}

TEST(Guide, B1_B17_ForTheFirstDeviceIsTrue)
{
    const Appliance appliance;
    appliance.container().write("/root/vendor-test.pem", to_string(manufactured_vendor_ca()));
    appliance.must("echo 127.0.0.1 desk.example >>/etc/hosts; systemctl start imprintd");
    const auto chip = appliance.property("ChipId");
    const auto type_in = [&](const std::string& section) {
        SCOPED_TRACE(section);
        const auto script = scripts().at(section);
        ASSERT_FALSE(script.empty());
        ASSERT_NO_THROW(appliance.must("cd /root; scp() { cp \"$1\" \"${2#board:}\"; }\n" +
                                       replaced(script, "CHIP-IDENTIFIER", chip.substr(3, 64))));
    };
    type_in("3 Be the manufacturer");
    type_in("4 Be the factory");
    type_in("5 Personalize the board");
    EXPECT_EQ(appliance.state(), "operating");
    EXPECT_EQ(appliance.property("DeviceIdentity"), R"((ss) "serial" "SN000001")");
    type_in("6 Use it");
    const auto certificate = appliance.property("ModuleCertificate");
    type_in("7 Lose the disk, and get it back");
    EXPECT_EQ(appliance.state(), "operating");
    EXPECT_EQ(appliance.property("ModuleCertificate"), certificate);
}

} // namespace
} // namespace imprint::test
