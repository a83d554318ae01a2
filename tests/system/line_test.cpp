// SPDX-License-Identifier: Apache-2.0
// A mobile personalization unit at the device: every way to connect it, and lines that misbehave. Real programs on both
// sides, no network, no archive.
#include "daemon/base/error.h"
#include "tests/support/daemon_process.h"
#include "tests/support/serial_cable.h"
#include "tests/system/mobile.h"

#include <gtest/gtest.h>

#include <set>
#include <sys/socket.h>
#include <sys/un.h>

namespace imprint::test {

namespace {

using Towards = SerialCable::Towards;
using Kind = SerialCable::Fault::Kind;

class InTheField : public testing::Test {
protected:
    InTheField()
        : device({.trust_bundle = factory.trust_bundle(), .configuration = "[Timeouts]\nConnectSec=9\nMessageSec=4\n"})
    {
        device.start();
    }

    std::string personalize(const Arguments& how)
    {
        Arguments arguments{"personalize"};
        arguments.insert(arguments.end(), how.begin(), how.end());
        const auto finished = device.imprintctl(arguments);
        return finished.status == 0 ? "" : finished.err;
    }
    void expect_personalized(std::int64_t records = 1)
    {
        EXPECT_EQ(device.property("State"), "s \"operating\"");
        EXPECT_EQ(device.property("DeviceIdentity"), "(ss) \"serial\" \"LT000001\"");
        EXPECT_EQ(laptop.rows("records"), records);
    }

    Factory factory;
    Mobile laptop{factory};
    DaemonProcess device;
};

TEST_F(InTheField, A33_OverAUnixSocket)
{
    const auto address = "unix:" + (device.directory() / "station").string();
    laptop.serve(address);
    EXPECT_EQ(personalize({address}), "");
    expect_personalized();
}

TEST_F(InTheField, A33_OverStandardInputAndOutput)
{
    EXPECT_EQ(personalize({"--proxy-command", laptop.serve_stdio()}), "");
    expect_personalized();
}

TEST_F(InTheField, A33_ADescriptorFromAnyProgram)
{
    const auto address = device.directory() / "station";
    laptop.serve("unix:" + address.string());
    const Fd line(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::ranges::copy(address.native(), name.sun_path);
    ASSERT_EQ(connect(line.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
    Process call({"gdbus", "call", "--system", "--timeout=60", "--dest", "org.imprint.Device1", "--object-path",
                  "/org/imprint/Device1", "--method", "org.imprint.Device1.PersonalizeWithDescriptor",
                  "handle " + std::to_string(line.get()), "{'switch': <true>}"},
                 device.bus().environment(), {}, {line.get()});
    EXPECT_EQ(call.wait(), 0);
    expect_personalized();
}

class Line : public InTheField {
protected:
    Line() { laptop.serve(cable.station()); }

    // An attempt over a line with a fault: it fails for a reason that names the line, or gets through all the same.
    // What was in force at the device stays, and the next attempt on the same line works.
    void survive(const SerialCable::Fault& fault, const std::set<std::string>& reasons)
    {
        const auto state = device.property("State");
        cable.set(fault);
        const auto failed = personalize({cable.device(), "--no-switch"});
        if (!failed.empty()) {
            const auto named = failed.substr(failed.find('(') + 1, failed.find(')') - failed.find('(') - 1);
            EXPECT_TRUE(reasons.contains(named)) << failed;
            EXPECT_EQ(device.property("State"), state == "s \"blank\"" ? "s \"personalization\"" : state);
            EXPECT_EQ(device.property("ReadyToSwitch"), "b false");
            if (fault.kind == Kind::hang_up)
                cable.plug_in();
            cable.set({});
            EXPECT_EQ(personalize({cable.device(), "--no-switch"}), "");
        }
        EXPECT_EQ(device.property("ReadyToSwitch"), "b true");
        EXPECT_EQ(device.imprintctl({"enter-operating"}).status, 0);
        EXPECT_EQ(device.imprintctl({"enter-personalization"}).status, 0);
    }
    // The middles of all TLS records that went towards one side: every message of the conversation is among them.
    static std::vector<std::size_t> middles(const Bytes& passed)
    {
        constexpr std::size_t header = 5;
        std::vector<std::size_t> all;
        for (std::size_t at = 0; at + header <= passed.size();) {
            const std::size_t size = static_cast<std::size_t>(passed[at + 3]) << 8U | passed[at + 4];
            all.push_back(at + header + size / 2);
            at += header + size;
        }
        return all;
    }

    SerialCable cable;
};

TEST_F(Line, A33_OverASerialLine)
{
    EXPECT_EQ(personalize({cable.device()}), "");
    expect_personalized();
    // One conversation after the other on the same line.
    EXPECT_EQ(device.imprintctl({"enter-personalization"}).status, 0);
    EXPECT_EQ(personalize({cable.device() + ",9600"}), "");
    expect_personalized(2);
}

TEST_F(Line, A33_TheDaemonOpensTheLineItself)
{
    const auto done = device.call({"Personalize", "sa{sv}", cable.device(), "1", "switch", "b", "true"});
    EXPECT_EQ(done.status, 0) << done.err;
    expect_personalized();
}

TEST_F(Line, WhatAFormerConversationLeftIsNoHindrance)
{
    cable.say(Towards::device, as_bytes("\x17\x03\x03\x40half of a record"));
    cable.say(Towards::station, as_bytes("\x17\x03\x03\x40half of another"));
    EXPECT_EQ(personalize({cable.device()}), "");
    expect_personalized();
}

TEST_F(Line, EveryMessageGarbled)
{
    ASSERT_EQ(personalize({cable.device()}), "");
    ASSERT_EQ(device.imprintctl({"enter-personalization"}).status, 0);
    cable.set({});
    ASSERT_EQ(personalize({cable.device()}), "");
    ASSERT_EQ(device.imprintctl({"enter-personalization"}).status, 0);
    for (const auto side : {Towards::device, Towards::station}) {
        const auto places = middles(cable.passed(side));
        EXPECT_GE(places.size(), 5U);
        for (const auto place : places) {
            SCOPED_TRACE((side == Towards::device ? "towards the device, byte " : "towards the station, byte ") +
                         std::to_string(place));
            survive({side, Kind::flip, place}, {"signature-invalid", "malformed-message", "connection-lost"});
        }
    }
}

TEST_F(Line, ALineThatStalls)
{
    for (const auto& [side, place] : {std::pair(Towards::device, std::size_t{1500}),
                                      {Towards::station, 100},
                                      {Towards::station, 2500},
                                      {Towards::device, 6000}}) {
        SCOPED_TRACE((side == Towards::device ? "towards the device, byte " : "towards the station, byte ") +
                     std::to_string(place));
        survive({side, Kind::stall, place}, {"timed-out"});
    }
}

TEST_F(Line, ALineThatHangsUp)
{
    survive({Towards::station, Kind::hang_up, 2500}, {"connection-lost"});
    survive({Towards::device, Kind::hang_up, 1500}, {"connection-lost"});
}

TEST_F(Line, WhatAnotherProgramUsesIsBusy)
{
    const auto second = device.run({"flock", "--nonblock", cable.station().substr(7), "true"});
    EXPECT_NE(second.status, 0);
    const auto busy = personalize({cable.station()});
    EXPECT_NE(busy.find("(busy)"), std::string::npos) << busy;
    const auto none = personalize({"serial:/dev/null"});
    EXPECT_NE(none.find("(not-configured)"), std::string::npos) << none;
    const auto wrong = personalize({"serial:ttyS0"});
    EXPECT_NE(wrong.find("(invalid-argument)"), std::string::npos) << wrong;
}

TEST_F(InTheField, AProxyCommandThatFailsIsNamed)
{
    const auto failed = personalize({"--proxy-command", "sh -c 'exit 7'"});
    EXPECT_NE(failed.find("(connection-lost)"), std::string::npos) << failed;
    EXPECT_NE(failed.find("(the command ended with status 7)"), std::string::npos) << failed;
    EXPECT_EQ(device.property("State"), "s \"personalization\"");
}

// The status tells whoever started it whether there is a record; and nothing but the conversation is on stdout.
TEST_F(InTheField, StandardOutputHasNothingElse)
{
    const auto nobody = run({"sh", "-c", laptop.serve_stdio()}, "this is no TLS");
    EXPECT_EQ(nobody.status, 1);
    EXPECT_EQ(nobody.out.find("listening"), std::string::npos);
    const auto ways = laptop.command({"serve"});
    EXPECT_EQ(ways.status, 2);
    EXPECT_NE(ways.err.find("--listen or --stdio"), std::string::npos) << ways.err;
}

} // namespace

} // namespace imprint::test
