// SPDX-License-Identifier: Apache-2.0
// Transaction numbers, end to end: an operator gives one out, a user types it at the device's terminal.
#include "tests/support/terminal.h"
#include "tests/system/fixture.h"

#include "daemon/base/file.h"

#include <csignal>
#include <fstream>

namespace imprint::test {

namespace {

class Introduction : public WholeSystem {
protected:
    Introduction() { factory.start_station({"--require-introduction", "always"}); }

    std::string issue(Arguments more = {})
    {
        more.insert(more.begin(), {"tan", "issue"});
        return factory.station_command(more).out.substr(0, 23);
    }
    Terminal imprintctl(Arguments more = {})
    {
        more.insert(more.begin(), {DaemonProcess::imprintctl_path(), "personalize", factory.station_address()});
        return Terminal(more, device.bus().environment());
    }
    // Where nobody can be asked.
    Finished unattended(Arguments more = {}, const std::string& input = {})
    {
        more.insert(more.begin(), {"personalize", factory.station_address()});
        return device.imprintctl(more, input);
    }
    std::string file(const std::string& content)
    {
        const auto path = device.directory() / "number";
        write_file(path, as_bytes(content));
        return path;
    }
    // Everything that any program wrote down.
    std::string written() const
    {
        std::string all = device.log();
        for (const auto& log : {"station.log", "archive.log"})
            all += to_string(read_file(factory / log, 1 << 26).value_or(Bytes()));
        all += factory.station_command({"audit", "--json"}).out;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(factory / "station"))
            if (entry.is_regular_file())
                all += to_string(read_file(entry.path(), 1 << 26).value());
        for (const auto& entry : std::filesystem::recursive_directory_iterator(device.state_directory()))
            if (entry.is_regular_file())
                all += to_string(read_file(entry.path(), 1 << 26).value());
        return all;
    }
};

TEST_F(Introduction, A34_TypedAtTheTerminalWithoutEcho)
{
    device.start();
    const auto number = issue();
    auto terminal = imprintctl();
    terminal.wait_for("Transaction number: ");
    EXPECT_FALSE(terminal.echoes());
    auto slip = number;
    slip[1] = slip[1] == '7' ? '8' : '7';
    terminal.type(slip + "\n");
    auto screen = terminal.wait_for("The transaction number was mistyped.");
    screen += terminal.wait_for("Transaction number: ");
    std::string typed;
    for (const char c : number)
        typed += c == '-' ? ' ' : static_cast<char>(std::tolower(c));
    terminal.type(typed + "\n");
    screen += terminal.rest();
    EXPECT_TRUE(terminal.echoes());
    EXPECT_EQ(terminal.wait(), 0) << screen;
    EXPECT_EQ(state(), "s \"operating\"");
    for (const auto& shown : {slip, number, typed})
        EXPECT_EQ(screen.find(shown), std::string::npos) << screen;

    // Nor does it stand anywhere else; one slip cost no attempt.
    const auto all = written();
    EXPECT_NE(all.find(number.substr(0, 5) + number.substr(6, 2)), std::string::npos) << "the selector";
    for (const auto& secret : {number, typed, number.substr(12), number.substr(8, 3) + number.substr(12, 5)})
        EXPECT_EQ(all.find(secret), std::string::npos);
    EXPECT_EQ(all.find("transaction-number-wrong"), std::string::npos);
}

TEST_F(Introduction, A34_WrongUsedExpiredAndForeignOnesAreRefusedEachWithItsReason)
{
    device.start();
    const auto refused = [&](const std::string& number, const std::string& reason) {
        const auto finished = unattended({"--transaction-number-file", "-"}, number + "\n");
        EXPECT_EQ(finished.status, 3) << finished.err;
        EXPECT_NE(finished.err.find("(" + reason + ")"), std::string::npos) << finished.err;
        EXPECT_EQ(finished.err.find(number), std::string::npos);
        EXPECT_EQ(device.property("ReadyToSwitch"), "b false");
    };
    refused("00000-00000-00000-00000", "transaction-number-wrong");
    refused(issue({"--chip", std::string(64, 'e')}), "transaction-number-foreign");
    const auto revoked = issue();
    ASSERT_EQ(factory.station_command({"tan", "revoke", revoked.substr(0, 5) + revoked.substr(6, 2)}).status, 0);
    refused(revoked, "transaction-number-expired");

    const auto good = issue();
    ASSERT_EQ(failure(unattended({"--transaction-number-file", file(good)})), "");
    ASSERT_EQ(enter_personalization(), "");
    refused(good, "transaction-number-used");
}

TEST_F(Introduction, A37_WhereNobodyCanBeAskedItFailsWithTheReason)
{
    device.start();
    const auto missing = unattended();
    EXPECT_EQ(missing.status, 3);
    EXPECT_NE(missing.err.find("(transaction-number-required)"), std::string::npos) << missing.err;
    const auto json = unattended({"--json"});
    EXPECT_EQ(json.status, 3);
    EXPECT_NE(json.out.find("\"transaction-number-required\""), std::string::npos) << json.out;
    const auto mistyped = unattended({"--transaction-number-file", file("00000-00000-00000-00001")});
    EXPECT_EQ(mistyped.status, 2);
    EXPECT_NE(mistyped.err.find("(transaction-number-mistyped)"), std::string::npos) << mistyped.err;
    EXPECT_EQ(unattended({"--transaction-number-file", "/none"}).status, 2);
    EXPECT_EQ(unattended({"--ticket-file", file("no ticket")}).status, 2);
    EXPECT_EQ(unattended({"--ticket-file", "a", "--transaction-number-file", "b"}).status, 2);
    EXPECT_EQ(unattended({"--transaction-number-file", "-"}, std::string(100'000, '0')).status, 2);
    EXPECT_EQ(state(), "s \"personalization\"");
}

TEST_F(Introduction, A34_AnInterruptionPutsTheTerminalRight)
{
    device.start();
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
        auto terminal = imprintctl();
        terminal.wait_for("Transaction number: ");
        ASSERT_FALSE(terminal.echoes());
        kill(terminal.pid(), number);
        const auto screen = terminal.rest();
        EXPECT_TRUE(terminal.echoes()) << number;
        EXPECT_EQ(terminal.wait(), 9) << screen;
    }
    auto terminal = imprintctl();
    terminal.wait_for("Transaction number: ");
    terminal.type("\x03"); // Ctrl-C
    EXPECT_EQ(terminal.wait(), 9);
    EXPECT_EQ(device.property("Busy"), "b false");
}

// Under a shell with job control: nobody else's processes can be stopped at a terminal.
TEST_F(Introduction, A34_AStoppedPromptShowsTheTerminalAsItWasAndGoesOn)
{
    device.start();
    Terminal terminal({"bash", "-mc",
                       DaemonProcess::imprintctl_path() + " personalize " + factory.station_address() +
                           "; echo is stopped; read; fg"},
                      device.bus().environment());
    terminal.wait_for("Transaction number: ");
    EXPECT_FALSE(terminal.echoes());
    terminal.type("\x1a"); // Ctrl-Z
    terminal.wait_for("is stopped");
    EXPECT_TRUE(terminal.echoes());
    terminal.type("\n");
    terminal.wait_for("Transaction number: ");
    EXPECT_FALSE(terminal.echoes());
    terminal.type(issue() + "\n");
    EXPECT_EQ(terminal.wait(), 0);
}

TEST_F(Introduction, A34_NothingTypedIsTheStationsReason)
{
    device.start();
    auto terminal = imprintctl();
    terminal.wait_for("Transaction number: ");
    terminal.type("\x04"); // Ctrl-D
    const auto screen = terminal.rest();
    EXPECT_NE(screen.find("(transaction-number-required)"), std::string::npos) << screen;
    EXPECT_EQ(terminal.wait(), 3);
}

TEST_F(Introduction, A34_TheNumberOfADeviceGivesItItsIdentity)
{
    device.start();
    const auto number = issue({"--identity", "PUMP-0042"});
    ASSERT_EQ(failure(unattended({"--transaction-number-file", "-"}, number)), "");
    EXPECT_EQ(device.property("DeviceIdentity"), "(ss) \"serial\" \"PUMP-0042\"");
}

TEST_F(Introduction, A37_OverBusctlTheNumberIsAnOption)
{
    device.start();
    const auto granted =
        device.call({"Personalize", "sa{sv}", factory.station_address(), "1", "transaction-number", "s", issue()});
    EXPECT_EQ(granted.status, 0) << granted.err;
    EXPECT_EQ(device.property("ReadyToSwitch"), "b true");
}

} // namespace

} // namespace imprint::test
