// SPDX-License-Identifier: Apache-2.0
// A courier introduces a device to a station that takes no others: over every link, with the real programs.
#include "tests/support/serial_cable.h"
#include "tests/system/fixture.h"
#include "tests/system/relay.h"

#include "provisioning/protocol/link.h"

#include <nlohmann/json.hpp>

#include <gmock/gmock.h>

#include <pty.h>

namespace imprint::test {

namespace {

using testing::HasSubstr;
using Towards = SerialCable::Towards;
using Kind = SerialCable::Fault::Kind;

class Introduced : public WholeSystem {
protected:
    Introduced()
        : files_(factory.certify_operator("alice", {"introduce", "issue-tan"}))
    {
        send_devices_to(factory.station_address());
        device.start();
    }

    void send_devices_to(const std::string& address)
    {
        factory.start_station({"--public-address", address, "--require-introduction", "always"});
    }
    Finished courier(const Arguments& arguments, const Environment& environment = {}) const
    {
        Arguments all{IMPRINT_COURIER, "--station", factory.operations_address(), "--directory", files_.string()};
        all.insert(all.end(), arguments.begin(), arguments.end());
        return run(all, {}, environment);
    }
    Finished introduce(const std::string& link, const Environment& environment = {}) const
    {
        return courier({"--reason", "rack 7", "introduce", "--device", link, "--yes"}, environment);
    }
    // The device's end of a Unix socket, as imprint-link.socket has it.
    std::string link_at(const std::string& name)
    {
        const auto path = device.directory() / name;
        links_.emplace_back(Arguments{"systemd-socket-activate", "--accept", "--inetd", "-l", path.string(), "-E",
                                      "DBUS_SYSTEM_BUS_ADDRESS=" + device.bus().address(),
                                      DaemonProcess::imprintctl_path(), "link"},
                            device.bus().environment(), device.directory() / "link.log");
        wait_until([&] { return std::filesystem::exists(path); });
        return "unix:" + path.string();
    }
    // The device's end of a serial line, as imprint-link-serial@.service has it.
    void link_at(const SerialCable& cable)
    {
        links_.emplace_back(Arguments{"sh", "-c", "exec \"$0\" link <>\"$1\" >&0", DaemonProcess::imprintctl_path(),
                                      cable.device().substr(std::string_view("serial:").size())},
                            device.bus().environment(), device.directory() / "link.log");
    }
    static bool wait_until(const std::function<bool()>& holds)
    {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        bool good = false;
        while (!(good = holds()) && std::chrono::steady_clock::now() < deadline)
            std::this_thread::yield();
        return good;
    }
    bool becomes_operating()
    {
        return wait_until([&] { return device.property("Busy") == "b false" && state() == "s \"operating\""; });
    }
    nlohmann::json audit() const { return nlohmann::json::parse(factory.station_command({"audit", "--json"}).out); }
    // In the audit log, to which the record's way to the archive may have added something since.
    bool refused_for(const std::string& reason) const
    {
        const auto entries = audit();
        return std::ranges::any_of(entries, [&](const auto& entry) { return entry["reason"] == reason; });
    }
    std::size_t granted() const
    {
        std::size_t count = 0;
        for (const auto& entry : audit())
            count += entry["event"] == "granted" ? 1 : 0;
        return count;
    }

private:
    std::filesystem::path files_;
    std::vector<Process> links_;
};

TEST_F(Introduced, A35_OverAUnixSocket)
{
    EXPECT_THAT(personalize(), HasSubstr("transaction-number-required")) << "nobody comes without an introduction";
    const auto done = introduce(link_at("link"));
    ASSERT_EQ(done.status, 0) << done.err;
    EXPECT_THAT(done.out, HasSubstr(chip()));
    EXPECT_TRUE(becomes_operating());
}

TEST_F(Introduced, A35_TheAuditLogTellsWhoIntroducedTheDeviceAndWhy)
{
    ASSERT_EQ(introduce(link_at("link")).status, 0);
    ASSERT_TRUE(becomes_operating());
    bool issued = false;
    bool granted = false;
    for (const auto& entry : audit()) {
        const auto text = entry["peer"].get<std::string>() + " " + entry["detail"].get<std::string>();
        const bool alice = entry["chip"] == chip() && text.find("alice") != std::string::npos;
        issued =
            issued || (alice && entry["event"] == "introduction-issued" && text.find("rack 7") != std::string::npos);
        granted = granted || (alice && entry["event"] == "granted");
    }
    EXPECT_TRUE(issued);
    EXPECT_TRUE(granted) << audit().dump(2);
}

TEST_F(Introduced, A35_OverASerialLine)
{
    SerialCable cable;
    link_at(cable);
    const auto done = introduce(cable.station());
    ASSERT_EQ(done.status, 0) << done.err;
    EXPECT_TRUE(becomes_operating());
}

TEST_F(Introduced, A35_OverASerialLineThatGarblesBothDirections)
{
    SerialCable cable;
    link_at(cable);
    cable.say(Towards::device, as_bytes("\xff\x00half a line"));
    cable.say(Towards::station, as_bytes("login: \r\n"));
    // In the first answer; what is asked again then is whole.
    cable.set(SerialCable::Fault{Towards::station, Kind::flip, 30});
    const auto done = introduce(cable.station() + ",9600");
    ASSERT_EQ(done.status, 0) << done.err;
    EXPECT_TRUE(becomes_operating());
}

TEST_F(Introduced, A35_OverTheBus)
{
    const auto done = introduce("dbus", device.bus().environment());
    ASSERT_EQ(done.status, 0) << done.err;
    EXPECT_TRUE(becomes_operating());
}

// Everything but the network in between is real: systemd's bridge at the device, libsystemd here.
TEST_F(Introduced, A35_OverSsh)
{
    const auto programs = device.directory() / "programs";
    std::filesystem::create_directory(programs);
    const std::string script = "#!/bin/sh\necho \"$@\" >'" + (device.directory() / "ssh.log").string() +
        "'\nexec systemd-stdio-bridge --bus-path='" + device.bus().address() + "'\n";
    write_file(programs / "ssh", as_bytes(script), 0755);
    const auto done = introduce("ssh:root@device.example", {{"PATH", programs.string() + ":" + std::getenv("PATH")}});
    ASSERT_EQ(done.status, 0) << done.err;
    EXPECT_TRUE(becomes_operating());
    EXPECT_THAT(to_string(read_file(device.directory() / "ssh.log", 4096).value()), HasSubstr("root@device.example"));
    EXPECT_EQ(introduce("ssh:-oProxyCommand=false").status, 2) << "no options for ssh";
}

TEST_F(Introduced, A37_A38_ByANumberForTyping)
{
    const auto shown = courier({"tan", "--chip", chip()});
    ASSERT_EQ(shown.status, 0) << shown.err;
    const auto number = shown.out.substr(0, shown.out.find('\n'));
    const auto attempt = [&] {
        return device.call({"Personalize", "sa{sv}", factory.station_address(), "2", "transaction-number", "s", number,
                            "switch", "b", "true"});
    };
    const auto done = attempt();
    ASSERT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(state(), "s \"operating\"");
    ASSERT_EQ(enter_personalization(), "");
    EXPECT_NE(attempt().status, 0) << "it is good once";
}

// The device's connection to the station is held back until the courier has gone, and over the courier's link went what
// the link's protocol has, and nothing else.
TEST_F(Introduced, A36_TheCourierIsGoneBeforeThePersonalizationBegins)
{
    Relay relay;
    send_devices_to(relay.address());
    SerialCable cable;
    link_at(cable);
    cable.set({});
    const auto done = introduce(cable.station());
    ASSERT_EQ(done.status, 0) << done.err;
    EXPECT_THAT(done.out, HasSubstr(relay.address()));
    EXPECT_EQ(device.property("Busy"), "b true");
    EXPECT_EQ(granted(), 0U);
    EXPECT_EQ(relay.passed(), 0U);

    relay.open(factory.station_address());
    EXPECT_TRUE(becomes_operating());
    EXPECT_EQ(granted(), 1U);
    EXPECT_GT(relay.passed(), 4096U);
    const auto over_the_link = [&](Towards side) {
        protocol::LinkReader reader;
        std::vector<std::string> words;
        std::size_t taken = 0;
        const auto passed = cable.passed(side);
        for (const auto& content : reader.take(passed)) {
            words.emplace_back(protocol::words_of(content).at(1));
            taken += protocol::link_line(content.view()).size();
        }
        // Besides lines: the newlines before requests.
        EXPECT_EQ(taken + (side == Towards::device ? words.size() : 0), passed.size());
        return words;
    };
    EXPECT_EQ(over_the_link(Towards::device), (std::vector<std::string>{"ask-chip", "introduce"}));
    EXPECT_EQ(over_the_link(Towards::station), (std::vector<std::string>{"chip", "introduced"}));
}

// A false device that tells another's chip and keeps the ticket; or a courier that was fooled, or lies.
TEST_F(Introduced, Attack26_ATicketForAnotherChipOpensNothing)
{
    SerialCable cable;
    std::string ticket;
    struct Thief : protocol::Introducible {
        std::string& taken;
        explicit Thief(std::string& into)
            : taken(into)
        {
        }
        std::string chip() override { return std::string(64, 'c'); }
        void introduce(const Secret& given, const std::string&) override { taken = to_string(given.view()); }
    } thief(ticket);
    Process introducing({IMPRINT_COURIER, "--station", factory.operations_address(), "--directory",
                         (factory / "operator-alice").string(), "introduce", "--device", cable.station(), "--yes"},
                        {}, device.directory() / "courier.log");
    protocol::LinkReader reader;
    protocol::LinkResponder responder(thief);
    std::size_t seen = 0;
    ASSERT_TRUE(wait_until([&] {
        const auto passed = cable.passed(Towards::device);
        for (const auto& content : reader.take(BytesView(passed).subspan(seen)))
            if (const auto answer = responder.respond(content))
                cable.say(Towards::station, protocol::link_line(as_bytes(*answer)).view());
        seen = passed.size();
        return !introducing.running();
    }));
    EXPECT_EQ(introducing.wait(), 0);
    ASSERT_EQ(ticket.size(), 96U);
    const auto refused = device.call(
        {"Personalize", "sa{sv}", factory.station_address(), "2", "ticket", "s", ticket, "switch", "b", "true"});
    EXPECT_THAT(refused.err, HasSubstr("another chip"));
    EXPECT_EQ(granted(), 0U);
    EXPECT_TRUE(refused_for("transaction-number-foreign"));
}

TEST_F(Introduced, Attack26_ATicketIsGoodOnce)
{
    SerialCable cable;
    link_at(cable);
    cable.set({});
    ASSERT_EQ(introduce(cable.station()).status, 0);
    ASSERT_TRUE(becomes_operating());
    protocol::LinkReader reader;
    const auto requests = reader.take(cable.passed(Towards::device));
    const std::string ticket(protocol::words_of(requests.back()).at(2));
    ASSERT_EQ(enter_personalization(), "");
    const auto again = device.call({"Personalize", "sa{sv}", factory.station_address(), "1", "ticket", "s", ticket});
    EXPECT_NE(again.status, 0);
    EXPECT_THAT(again.err, HasSubstr("was used"));
    EXPECT_TRUE(refused_for("transaction-number-used"));
    EXPECT_EQ(granted(), 1U);
}

TEST_F(Introduced, ADeviceThatCannotBeIntroducedSaysSo)
{
    const auto link = link_at("link");
    ASSERT_EQ(introduce(link).status, 0);
    ASSERT_TRUE(becomes_operating());
    const auto refused = introduce(link);
    EXPECT_EQ(refused.status, 3) << refused.out;
    EXPECT_THAT(refused.err, HasSubstr("(wrong-state)"));
    device.stop();
    EXPECT_EQ(introduce(link).status, 7) << "its daemon does not run";
    EXPECT_EQ(introduce("dbus", device.bus().environment()).status, 7);
}

TEST_F(Introduced, TheChipIsShownAndAskedForOnATerminal)
{
    std::array<int, 2> ends{};
    std::array<char, 64> name{};
    ASSERT_EQ(openpty(&ends[0], &ends[1], name.data(), nullptr, nullptr), 0);
    const Fd keyboard(ends[0]);
    const Fd terminal(ends[1]);
    const auto link = link_at("link");
    const auto answering = [&](const std::string& words) {
        EXPECT_EQ(write(keyboard.get(), words.data(), words.size()), static_cast<ssize_t>(words.size()));
        return run({"sh", "-c", "exec \"$@\" <\"$0\"", name.data(), IMPRINT_COURIER, "--station",
                    factory.operations_address(), "--directory", (factory / "operator-alice").string(), "introduce",
                    "--device", link});
    };
    for (const auto* no : {"n\n", "\n", "yeah\n"}) {
        const auto declined = answering(no);
        EXPECT_EQ(declined.status, 9) << no;
        EXPECT_THAT(declined.err, HasSubstr(chip()));
    }
    EXPECT_EQ(audit().back()["event"], "operator-added") << "no ticket was asked for";
    EXPECT_EQ(answering("y\n").status, 0);
    EXPECT_TRUE(becomes_operating());
}

TEST_F(Introduced, WithoutATerminalNothingIsConfirmed)
{
    const auto refused = courier({"introduce", "--device", link_at("link")});
    EXPECT_EQ(refused.status, 2);
    EXPECT_THAT(refused.err, HasSubstr("--yes"));
    EXPECT_EQ(audit().back()["event"], "operator-added") << "and no ticket was asked for";
}

} // namespace

} // namespace imprint::test
