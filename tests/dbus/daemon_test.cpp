// SPDX-License-Identifier: Apache-2.0
// imprintd as a process: start, stop, watchdog, configuration, a TPM that is not there.
#include "tests/dbus/fixture.h"

#include <csignal>

namespace imprint::test {
namespace {

class Daemon : public OnTheBus {
protected:
    Daemon() = default;
    // Starts a daemon that is meant to fail, with a configuration of its own; its exit code.
    int exit_code_with(const std::string& configuration)
    {
        write_file(device.configuration(), as_bytes(configuration));
        device.launch();
        return device.process().wait();
    }
    std::string state_directory() const { return "StateDirectory=" + device.state_directory().string() + "\n"; }
};

constexpr int exit_configuration = 78;

TEST_F(Daemon, TellsItsManagerHowItIs)
{
    device.launch({{"WATCHDOG_USEC", "400000"}});
    EXPECT_NE(device.notifications().wait_for("READY=1").size(), 0);
    EXPECT_EQ(device.property("State"), "s \"blank\"") << "ready before it can be called";
    EXPECT_NO_THROW(device.notifications().wait_for("WATCHDOG=1"));
    device.process().signal(SIGTERM);
    EXPECT_NO_THROW(device.notifications().wait_for("STOPPING=1"));
    EXPECT_EQ(device.process().wait(), 0);
}

TEST_F(Daemon, StopsInTheMiddleOfACall)
{
    device.start();
    auto hanging = start_call("Personalize", {station.address(), no_options}, "hanging");
    const auto line = station.accept();
    EXPECT_EQ(device.stop(), 0);
    EXPECT_EQ(end_of(hanging, "hanging"), "org.imprint.Error.Cancelled") << "its caller was not answered";
}

TEST_F(Daemon, WorksAloneInItsStateDirectory)
{
    device.start();
    const auto second = device.run({IMPRINT_IMPRINTD, "--config", device.configuration().string()});
    EXPECT_EQ(second.status, exit_configuration);
    EXPECT_NE(second.err.find("another imprintd works in " + device.state_directory().string()), std::string::npos)
        << second.err;
    EXPECT_EQ(device.property("State"), "s \"blank\"");
    device.kill();
    EXPECT_NO_THROW(device.start()) << "a killed daemon keeps its lock";
}

TEST_F(Daemon, UnknownSettingsAreRefusedWithTheirPlace)
{
    EXPECT_EQ(exit_code_with("[Device]\n" + state_directory() + "Colour=red\n"), exit_configuration);
    EXPECT_NE(device.log().find(device.configuration().string() + ":3: Colour: "), std::string::npos) << device.log();
}

TEST_F(Daemon, AMissingStateDirectoryIsTold)
{
    EXPECT_EQ(exit_code_with("[Device]\nStateDirectory=/nowhere/at/all\n"), 1);
    EXPECT_NE(device.log().find("/nowhere/at/all"), std::string::npos) << device.log();
}

TEST_F(Daemon, AMissingTpmIsReportedAndLookedForAgain)
{
    device.tpm().kill();
    std::filesystem::remove(device.tpm().socket());
    device.start();
    EXPECT_EQ(device.property("State"), "s \"tpm-unavailable\"");
    EXPECT_EQ(error_of(call("Personalize", {"unix:/nobody", no_options})), "org.imprint.Error.TpmUnavailable");
    device.tpm().start();
    EXPECT_EQ(error_of(call("Personalize", {"unix:/nobody", no_options})), "org.imprint.Error.ConnectionRefused");
    EXPECT_NE(device.property("State"), "s \"tpm-unavailable\"");
}

TEST_F(Daemon, AMissingTrustBundleIsNamed)
{
    std::filesystem::remove(files / "trust.pem");
    device.start();
    EXPECT_EQ(device.property("State"), "s \"blank\"");
    EXPECT_EQ(error_of(call("Personalize", {"unix:/nobody", no_options})), "org.imprint.Error.NotConfigured");
}

TEST_F(Daemon, StaysInTheStateThatItWasIn)
{
    device.start();
    EXPECT_EQ(error_of(call("Personalize", {"unix:/nobody", no_options})), "org.imprint.Error.ConnectionRefused");
    EXPECT_EQ(device.property("State"), "s \"personalization\"") << "the TPM is prepared, no more";
    const auto chip = device.property("ChipId");
    device.kill();
    device.start();
    EXPECT_EQ(device.property("State"), "s \"personalization\"");
    EXPECT_EQ(device.property("ChipId"), chip);
}

TEST_F(Daemon, TheJournalTellsCallsAndStates)
{
    device.start();
    EXPECT_NE(device.log().find("imprintd: The state is blank. "), std::string::npos) << device.log();
    call("Personalize", {"unix:/nobody", no_options});
    const auto log = device.log();
    EXPECT_NE(log.find("imprintd: Personalize began.\n"), std::string::npos) << log;
    EXPECT_NE(log.find("imprintd: Personalize failed: The peer cannot be reached. "), std::string::npos) << log;
    const std::string changed = "imprintd: The state is now personalization. ";
    EXPECT_NE(log.find(changed), std::string::npos) << log;
    call("Personalize", {"unix:/nobody", no_options});
    EXPECT_EQ(device.log().rfind(changed), log.find(changed)) << "told twice: " << device.log();
}

TEST_F(Daemon, SpecialStatesHaveTheirNames)
{
    device.start();
    call("Personalize", {"unix:/nobody", no_options});
    device.stop();
    device.tpm().clear();
    device.start();
    EXPECT_EQ(device.property("State"), "s \"tpm-cleared\"");
    EXPECT_NE(device.property("StateHint"), "s \"\"");
    EXPECT_EQ(error_of(call("Personalize", {"unix:/nobody", no_options})), "org.imprint.Error.WrongState");
}

TEST_F(Daemon, HasTheUsualOptions)
{
    const auto version = run({IMPRINT_IMPRINTD, "--version"});
    EXPECT_EQ(version.status, 0);
    EXPECT_EQ(version.out, "imprintd " IMPRINT_VERSION "\n");
    EXPECT_EQ(run({IMPRINT_IMPRINTD, "--help"}).out.substr(0, 6), "Usage:");
    EXPECT_EQ(run({IMPRINT_IMPRINTD, "--colour"}).status, 2);
    EXPECT_EQ(run({IMPRINT_IMPRINTD, "now"}).status, 2);
}

} // namespace
} // namespace imprint::test
