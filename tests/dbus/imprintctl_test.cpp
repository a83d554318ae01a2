// SPDX-License-Identifier: Apache-2.0
// imprintctl as scripts and people see it.
#include "tests/dbus/fixture.h"

#include <csignal>

namespace imprint::test {
namespace {

class Imprintctl : public OnTheBus {
protected:
    Imprintctl() { device.start(); }
    int status_of(const Arguments& arguments) const { return device.imprintctl(arguments).status; }
};

TEST_F(Imprintctl, ExitCodesTellScriptsWhatHappened)
{
    EXPECT_EQ(status_of({"status"}), 0);
    EXPECT_EQ(status_of({}), 2);
    const auto typo = device.imprintctl({"personalise"});
    EXPECT_EQ(typo.status, 2);
    EXPECT_NE(typo.err.find("personalise"), std::string::npos) << typo.err;
    EXPECT_EQ(status_of({"export-backup", files.path().string()}), 2) << "a directory is no file to replace";
    EXPECT_EQ(status_of({"restore"}), 2);
    EXPECT_EQ(status_of({"recover"}), 2) << "no archive is configured";
    EXPECT_EQ(device.imprintctl({"restore", "-"}, "no record").status, 3);
    EXPECT_EQ(status_of({"enter-operating"}), 4);
    EXPECT_EQ(status_of({"export-backup", (files / "record").string()}), 4);
    EXPECT_EQ(status_of({"personalize", "unix:/nobody"}), 8);
    EXPECT_EQ(status_of({"cancel"}), 0);
    EXPECT_FALSE(std::filesystem::exists(files / "record"));
    const auto other = device.run({"setpriv", "--reuid", std::to_string(nobody), "--clear-groups",
                                   DaemonProcess::imprintctl_path(), "enter-operating"});
    EXPECT_EQ(other.status, 5) << other.err;
    device.stop();
    EXPECT_EQ(status_of({"status"}), 7);
    EXPECT_EQ(
        run({DaemonProcess::imprintctl_path(), "status"}, {}, {{"DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/none"}}).status,
        7);
}

TEST_F(Imprintctl, BusyHasItsOwnExitCode)
{
    auto hanging = start_call("Personalize", {station.address(), no_options}, "hanging");
    const auto line = station.accept();
    EXPECT_EQ(status_of({"enter-operating"}), 6);
}

TEST_F(Imprintctl, ErrorsSayWhatWhyAndWhatToDo)
{
    const auto failed = device.imprintctl({"personalize", "unix:/nobody"});
    EXPECT_NE(failed.err.find("imprintctl: The peer cannot be reached. (connection-refused)\n"), std::string::npos)
        << failed.err;
    EXPECT_NE(failed.err.find("\n  Why:        "), std::string::npos) << failed.err;
    EXPECT_NE(failed.err.find("\n  What to do: Check the address"), std::string::npos) << failed.err;
}

TEST_F(Imprintctl, ProgressIsALineAStepWhereThereIsNoTerminal)
{
    const auto failed = device.imprintctl({"personalize", "unix:/nobody"});
    EXPECT_NE(failed.err.find("% connecting to the station\n"), std::string::npos) << failed.err;
    EXPECT_EQ(failed.err.find('\r'), std::string::npos);
    const auto quiet = device.imprintctl({"--quiet", "personalize", "unix:/nobody"});
    EXPECT_EQ(quiet.err.find('%'), std::string::npos) << quiet.err;
    EXPECT_EQ(quiet.status, 8);
}

TEST_F(Imprintctl, ProgressIsABarOnATerminal)
{
    const auto failed = device.run({"script", "--quiet", "--return", "--command",
                                    DaemonProcess::imprintctl_path() + " personalize unix:/nobody", "/dev/null"});
    EXPECT_EQ(failed.status, 8);
    EXPECT_NE(failed.out.find("\r["), std::string::npos) << failed.out;
    EXPECT_NE(failed.out.find("] "), std::string::npos) << failed.out;
}

TEST_F(Imprintctl, JsonIsOneDocument)
{
    const auto status = device.imprintctl({"status", "--json"});
    EXPECT_EQ(status.status, 0);
    EXPECT_TRUE(status.out.starts_with("{\n  \"State\": \"blank\",\n")) << status.out;
    const auto failed = device.imprintctl({"--json", "personalize", "unix:/nobody"});
    EXPECT_EQ(failed.err, "");
    const auto reason =
        run({"python3", "-c", "import json,sys; print(json.load(sys.stdin)['error']['reason'])"}, failed.out);
    EXPECT_EQ(reason.out, "connection-refused\n") << failed.out << reason.err;
}

TEST_F(Imprintctl, InterruptionCancels)
{
    Process personalize({DaemonProcess::imprintctl_path(), "personalize", station.address()},
                        device.bus().environment(), device.directory() / "ctl.log");
    const auto line = station.accept();
    personalize.signal(SIGINT);
    EXPECT_EQ(personalize.wait(), 9);
    EXPECT_EQ(device.property("Busy"), "b false");
}

TEST_F(Imprintctl, CancelEndsTheCallOfAnother)
{
    Process personalize({DaemonProcess::imprintctl_path(), "personalize", station.address()},
                        device.bus().environment(), device.directory() / "ctl.log");
    const auto line = station.accept();
    EXPECT_EQ(status_of({"cancel"}), 0);
    EXPECT_EQ(personalize.wait(), 9);
}

TEST_F(Imprintctl, StatusIsForPeople)
{
    const auto status = device.imprintctl({"status"});
    EXPECT_NE(status.out.find("State                blank\n"), std::string::npos) << status.out;
    EXPECT_NE(status.out.find("\nChip                 "), std::string::npos) << status.out;
    EXPECT_NE(status.out.find("\nTPM                  IBM"), std::string::npos) << status.out;
}

} // namespace
} // namespace imprint::test
