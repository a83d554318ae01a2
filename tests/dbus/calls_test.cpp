// SPDX-License-Identifier: Apache-2.0
// Methods: what they refuse, and how they behave while they take their time.
#include "backup/package/record.h"
#include "dbus/handles.h"
#include "tests/dbus/fixture.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <iostream>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace imprint::test {
namespace {

class Calls : public OnTheBus {
protected:
    Calls() { device.start(); }
    Calls(DaemonProcess::Settings settings)
        : OnTheBus(std::move(settings))
    {
        device.start();
    }

    // A personalization that hangs at a silent station. Returns with the station's end of the line.
    Fd hang(Process& call)
    {
        call = start_call("Personalize", {station.address(), no_options}, "hanging");
        return station.accept();
    }
    // Of the reads of a property, one after the other on one connection, the time that 99 of 100 are faster than: less
    // than 10 ms on a quiet machine, and here less than a second. Whoever waits for TPM or station waits for ever.
    double read_many(const std::string& expected) const
    {
        using Milliseconds = std::chrono::duration<double, std::milli>;
        setenv("DBUS_SYSTEM_BUS_ADDRESS", device.bus().address().c_str(), 1);
        sd_bus* raw = nullptr;
        dbus::check(sd_bus_open_system(&raw), "connect");
        const dbus::Bus bus(raw);
        std::vector<double> times;
        for (int i = 0; i < 1000; ++i) {
            const auto start = std::chrono::steady_clock::now();
            char* state = nullptr;
            dbus::check(sd_bus_get_property_string(bus.get(), dbus::service_name, dbus::object_path,
                                                   dbus::interface_name, "State", nullptr, &state),
                        "read a property");
            times.push_back(Milliseconds(std::chrono::steady_clock::now() - start).count());
            EXPECT_EQ(state, expected);
            std::free(state);
        }
        std::ranges::sort(times);
        EXPECT_LT(times[990], 1000) << "ms";
        return times[990];
    }
    static void print(const std::string& while_what, double p99, double idle)
    {
        std::cout << "reading a property while " << while_what << ": p99 " << p99 << " ms, idle " << idle << " ms, "
                  << p99 / idle << " times\n";
    }
    void expect_idle()
    {
        EXPECT_EQ(device.property("Busy"), "b false");
        EXPECT_EQ(device.property("Progress"), "(us) 0 \"\"");
    }
    Process hanging{{"true"}};
};

TEST_F(Calls, WhatTheStateForbidsIsNamed)
{
    EXPECT_EQ(error_of(call("EnterOperating")), "org.imprint.Error.WrongState");
    EXPECT_EQ(error_of(call("EnterPersonalization")), "org.imprint.Error.WrongState");
    EXPECT_EQ(error_of(call("ExportBackup")), "org.imprint.Error.WrongState");
    EXPECT_EQ(error_of(call("UpdateCentral", {"[byte 1]"})), "org.imprint.Error.WrongState");
    EXPECT_EQ(error_of(call("Connect", {"unix:/nobody", no_options})), "org.imprint.Error.WrongState");
    EXPECT_EQ(error_of(call("ConnectTo", {"unix:/nobody", "/nobody", no_options})), "org.imprint.Error.WrongState");
    EXPECT_EQ(device.property("State"), "s \"blank\"");
}

TEST_F(Calls, PeersThatAreNotThereAreNamed)
{
    EXPECT_EQ(error_of(call("Personalize", {"unix:/nobody", no_options})), "org.imprint.Error.ConnectionRefused");
    EXPECT_EQ(error_of(call("Recover", {"http://127.0.0.1:1", no_options})), "org.imprint.Error.ConnectionRefused");
    EXPECT_EQ(error_of(call("CheckRecovery", {"http://127.0.0.1:1", no_options})),
              "org.imprint.Error.ConnectionRefused");
    expect_idle();
}

TEST_F(Calls, MissingAddressesAreNamed)
{
    EXPECT_EQ(error_of(call("Personalize", {"", no_options})), "org.imprint.Error.NotConfigured");
    EXPECT_EQ(error_of(call("Recover", {"", no_options})), "org.imprint.Error.NotConfigured");
    EXPECT_EQ(error_of(call("Connect", {"", no_options})), "org.imprint.Error.NotConfigured");
}

class Configured : public Calls {
protected:
    Configured()
        : Calls({.configuration = "[Device]\nStationAddress=unix:/nobody\nArchiveAddress=http://127.0.0.1:1\n"})
    {
    }
};

TEST_F(Configured, AddressesComeFromTheConfiguration)
{
    EXPECT_EQ(error_of(call("Personalize", {"", no_options})), "org.imprint.Error.ConnectionRefused");
    EXPECT_EQ(error_of(call("Recover", {"", no_options})), "org.imprint.Error.ConnectionRefused");
}

TEST_F(Calls, OddArgumentsAreNamed)
{
    const std::string invalid = "org.imprint.Error.InvalidArgument";
    EXPECT_EQ(error_of(call("Personalize", {"unix:/nobody", "{'fast': <true>}"})), invalid);
    EXPECT_EQ(error_of(call("Personalize", {"unix:/nobody", "{'switch': <'yes'>}"})), invalid);
    EXPECT_EQ(error_of(call("Personalize", {std::string(1025, 'a'), no_options})), invalid);
    EXPECT_EQ(error_of(call("Recover", {std::string(1025, 'a'), no_options})), invalid);
    EXPECT_EQ(error_of(call("Restore", {"@ay []", no_options})), invalid);
    for (const auto* options : {"{'sequence': <uint64 4>}", "{'sequence': <'3'>}", "{'newest': <true>}"})
        EXPECT_EQ(error_of(call("Recover", {"http://127.0.0.1:1", options})), invalid) << options;
    EXPECT_EQ(error_of(call("Connect", {"unix:/nobody", "{'alpn': <''>}"})), invalid);
    EXPECT_EQ(error_of(call("Connect", {"unix:/nobody", "{'alpn': <'" + std::string(256, 'a') + "'>}"})), invalid);
    EXPECT_EQ(error_of(call("Connect", {"unix:/nobody", "{'timeout-sec': <uint32 0>}"})), invalid);
    EXPECT_EQ(error_of(call("Connect", {"unix:/nobody", "{'timeout-sec': <'1'>}"})), invalid);
    EXPECT_EQ(error_of(call("ConnectTo", {"unix:/nobody", "relative", no_options})), invalid);
    EXPECT_EQ(device.call({"Personalize", "sa{sv}", "unix:/nobody", "2", "switch", "b", "true", "switch", "b", "true"})
                  .status,
              1)
        << "an option given twice";
    EXPECT_EQ(device.property("State"), "s \"blank\"") << "something was begun";
}

TEST_F(Calls, A34_OddIntroductionsAreNamedBeforeAnythingIsConnected)
{
    const auto with = [&](const std::string& options) {
        return error_of(call("Personalize", {"unix:/none", options}));
    };
    const std::string number = "00000-00000-00000-00000";
    const std::string ticket(96, 'a');
    const std::string invalid = "org.imprint.Error.InvalidArgument";
    EXPECT_EQ(with("{'transaction-number': <1>}"), invalid);
    EXPECT_EQ(with("{'ticket': <true>}"), invalid);
    EXPECT_EQ(with("{'ticket': <'" + number + "'>}"), invalid);
    EXPECT_EQ(with("{'transaction-number': <'" + number + "'>, 'ticket': <'" + ticket + "'>}"), invalid);
    const std::string mistyped = "org.imprint.Error.TransactionNumberMistyped";
    for (const auto& typed :
         {number + "1", std::string(), ticket, std::string(100'000, '0'), std::string("00000-00000-00000-00001")}) {
        const auto answer = call("Personalize", {"unix:/none", "{'transaction-number': <'" + typed + "'>}"});
        EXPECT_EQ(error_of(answer), mistyped);
        EXPECT_TRUE(typed.empty() || answer.err.find(typed) == std::string::npos) << "it is not repeated";
    }
    // Well formed ones get as far as the connection.
    const std::string unreachable = "org.imprint.Error.ConnectionRefused";
    EXPECT_EQ(with("{'transaction-number': <'ooooo 00000 00000-oOo0O'>}"), unreachable);
    EXPECT_EQ(with("{'ticket': <'" + ticket + "'>, 'switch': <true>}"), unreachable);
    EXPECT_EQ(device.log().find("00000-00000"), std::string::npos);
    EXPECT_EQ(device.log().find(ticket), std::string::npos);
}

TEST_F(Calls, Attack24_AnOversizedRecordIsNotEvenTaken)
{
    setenv("DBUS_SYSTEM_BUS_ADDRESS", device.bus().address().c_str(), 1);
    sd_bus* bus = nullptr;
    dbus::check(sd_bus_open_system(&bus), "connect");
    const dbus::Bus closed(bus);
    sd_bus_message* raw = nullptr;
    dbus::check(sd_bus_message_new_method_call(bus, &raw, dbus::service_name, dbus::object_path, dbus::interface_name,
                                               "Restore"),
                "make a call");
    const dbus::Message call(raw);
    const Bytes record(package::max_record + 1);
    dbus::check(sd_bus_message_append_array(raw, 'y', record.data(), record.size()), "fill the call");
    dbus::check(sd_bus_message_append(raw, "a{sv}", 0), "fill the call");
    sd_bus_error error = SD_BUS_ERROR_NULL;
    EXPECT_LT(sd_bus_call(bus, raw, 0, &error, nullptr), 0);
    EXPECT_STREQ(error.name, "org.imprint.Error.InvalidArgument");
    sd_bus_error_free(&error);
}

TEST_F(Calls, ARecordThatIsNoneIsNamed)
{
    EXPECT_EQ(error_of(call("Restore", {"[byte 1, 2, 3]", no_options})), "org.imprint.Error.RecordInvalid");
    EXPECT_EQ(error_of(call("CheckRestore", {"[byte 1, 2, 3]", no_options})), "org.imprint.Error.RecordInvalid");
    EXPECT_EQ(device.property("State"), "s \"blank\"");
}

TEST_F(Calls, ASecondLongCallIsBusy)
{
    const auto line = hang(hanging);
    for (const auto& [method, arguments] : {std::pair<std::string, Arguments>{"Personalize", {"x", no_options}},
                                            {"EnterOperating", {}},
                                            {"EnterPersonalization", {}},
                                            {"Recover", {"http://127.0.0.1:1", no_options}},
                                            {"Restore", {"[byte 1]", no_options}},
                                            {"CheckRecovery", {"http://127.0.0.1:1", no_options}},
                                            {"CheckRestore", {"[byte 1]", no_options}},
                                            {"UpdateCentral", {"[byte 1]"}}})
        EXPECT_EQ(error_of(call(method, arguments)), "org.imprint.Error.Busy") << method;
    EXPECT_EQ(device.property("Busy"), "b true");
    EXPECT_TRUE(hanging.running());
}

TEST_F(Calls, CancelEndsAHangingCall)
{
    const auto line = hang(hanging);
    EXPECT_EQ(error_of(call("Cancel")), "");
    EXPECT_EQ(end_of(hanging, "hanging"), "org.imprint.Error.Cancelled");
    expect_idle();
    const auto again = hang(hanging);
    EXPECT_TRUE(again) << "the next call does not work";
}

TEST_F(Calls, CancelOfNothingIsNoError) { EXPECT_EQ(error_of(call("Cancel")), ""); }

TEST_F(Calls, AStationThatHangsUpIsNamed)
{
    auto line = hang(hanging);
    line = Fd();
    EXPECT_EQ(end_of(hanging, "hanging"), "org.imprint.Error.ConnectionLost");
    expect_idle();
}

TEST_F(Calls, ACallGoesOnWithoutItsCaller)
{
    auto line = hang(hanging);
    hanging.signal(SIGKILL);
    hanging.wait();
    EXPECT_EQ(device.property("Busy"), "b true");
    // Only the end of the conversation ends it.
    Process monitor({"gdbus", "monitor", "--system", "--dest", "org.imprint.Device1"}, device.bus().environment());
    ASSERT_TRUE(monitor.line_after("The name org.imprint.Device1 is owned by"));
    line = Fd();
    for (auto signal = monitor.line_after(""); signal && signal->find("'Busy': <false>") == std::string::npos;)
        signal = monitor.line_after("");
    expect_idle();
}

TEST_F(Calls, ACallGoesOnWhenItsCallersPatienceEnds)
{
    hanging = Process({"busctl", "--system", "--timeout=100ms", "call", "org.imprint.Device1", "/org/imprint/Device1",
                       "org.imprint.Device1", "Personalize", "sa{sv}", station.address(), "0"},
                      device.bus().environment(), device.directory() / "impatient");
    const auto line = station.accept();
    EXPECT_EQ(hanging.wait(), 1);
    EXPECT_EQ(device.property("Busy"), "b true");
    EXPECT_EQ(error_of(call("Cancel")), "");
}

TEST_F(Calls, Attack25_PropertiesAnswerWhileTheStationHangs)
{
    const double idle = read_many("blank");
    const auto line = hang(hanging);
    print("the station hangs", read_many("personalization"), idle);
    EXPECT_TRUE(hanging.running()) << "the long call was answered first";
}

TEST_F(Calls, Attack25_PropertiesAnswerWhileTheTpmHangs)
{
    const double idle = read_many("blank");
    // A TPM that takes the command and never answers stands in the place of ours.
    device.tpm().kill();
    std::filesystem::remove(device.tpm().socket());
    const SilentPeer silent_tpm(device.tpm().socket());
    hanging = start_call("Personalize", {station.address(), no_options}, "hanging");
    auto line = silent_tpm.accept();
    print("the TPM hangs", read_many("blank"), idle);
    EXPECT_EQ(device.property("Busy"), "b true");
    EXPECT_TRUE(hanging.running()) << "the long call was answered first";
}

TEST_F(Calls, ADescriptorWorksLikeAnAddress)
{
    std::array<int, 2> ends{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    Fd ours(ends[0]), theirs(ends[1]);
    hanging = start_call("PersonalizeWithDescriptor", {"handle " + std::to_string(theirs.get()), no_options}, "hanging",
                         {theirs.get()});
    theirs = Fd();
    // The daemon has its own copy, on which it says hello as a TLS client.
    std::array<std::uint8_t, 2> start{};
    ASSERT_EQ(recv(ours.get(), start.data(), start.size(), MSG_WAITALL), 2);
    EXPECT_EQ(start[0], 0x16) << "no TLS handshake";
    ours = Fd();
    EXPECT_EQ(end_of(hanging, "hanging"), "org.imprint.Error.ConnectionLost");
}

// What a caller might have the daemon read or write in its own place: each is refused unread, and stays as it was.
TEST_F(Calls, Attack24_OnlyStreamsAndLinesAreTaken)
{
    write_file(files / "regular", as_bytes("text"));
    write_file(files / "huge", as_bytes("text"));
    std::filesystem::resize_file(files / "huge", std::uintmax_t{1} << 40U);
    std::filesystem::create_symlink(files / "regular", files / "link");
    ASSERT_EQ(mkfifo((files / "fifo").c_str(), 0600), 0);
    std::array<int, 2> pipe_ends{};
    ASSERT_EQ(pipe2(pipe_ends.data(), O_CLOEXEC), 0);
    const Fd other_end(pipe_ends[1]);
    const auto open_file = [](const std::filesystem::path& path, int flags) {
        return Fd(open(path.c_str(), flags | O_CLOEXEC));
    };
    const auto sealed = [] {
        Fd memory(memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
        EXPECT_EQ(write(memory.get(), "text", 4), 4);
        EXPECT_EQ(fcntl(memory.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL), 0);
        return memory;
    };
    std::vector<std::pair<const char*, Fd>> all;
    all.emplace_back("a regular file", open_file(files / "regular", O_RDWR));
    all.emplace_back("a huge file", open_file(files / "huge", O_RDWR));
    all.emplace_back("a symbolic link", open_file(files / "link", O_PATH | O_NOFOLLOW));
    all.emplace_back("a FIFO", open_file(files / "fifo", O_RDWR | O_NONBLOCK));
    all.emplace_back("a pipe", Fd(pipe_ends[0]));
    all.emplace_back("a sealed memfd", sealed());
    all.emplace_back("an event", Fd(eventfd(0, EFD_CLOEXEC)));
    all.emplace_back("a directory", open_file("/tmp", O_RDONLY));
    all.emplace_back("no line", open_file("/dev/null", O_RDWR));
    all.emplace_back("the caller's own /proc", open_file("/proc/self/status", O_RDONLY));
    all.emplace_back("datagrams", Fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)));
    for (const auto& [what, fd] : all) {
        ASSERT_TRUE(fd) << what;
        auto call = start_call("PersonalizeWithDescriptor", {"handle " + std::to_string(fd.get()), no_options},
                               "refused", {fd.get()});
        EXPECT_EQ(end_of(call, "refused"), "org.imprint.Error.InvalidArgument") << what;
        remove_file(device.directory() / "refused");
    }
    EXPECT_EQ(device.property("State"), "s \"blank\"");
    EXPECT_EQ(read_file(files / "regular", 16), to_bytes("text"));
    char byte = 0;
    EXPECT_EQ(read(all[3].second.get(), &byte, 1), -1) << "nothing was written";
}

TEST_F(Calls, ErrorsSayWhatToDo)
{
    const auto finished = device.call({"EnterOperating"});
    EXPECT_NE(finished.err.find("\n" + std::string(hint(Reason::wrong_state))), std::string::npos) << finished.err;
}

} // namespace
} // namespace imprint::test
