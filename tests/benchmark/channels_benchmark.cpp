// SPDX-License-Identifier: Apache-2.0
// What connections to the central system cost: TPM commands with the module key and with a PSK, and the memory of a
// thousand channels that are open at once in one imprintd.
#include "dbus/handles.h"
#include "tests/device/connecting.h"
#include "tests/support/daemon_process.h"

#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <iostream>
#include <sys/resource.h>

namespace imprint::test {
namespace {

void print(const std::string& what, double value) { std::cout << what << ": " << value << std::endl; }

class TpmCommands : public Connecting {
protected:
    TpmCommands()
        : Connecting(true)
    {
    }
    std::size_t connection()
    {
        box.wire.reset();
        EXPECT_TRUE(echoes(connect()));
        return box.wire.count();
    }
};

TEST_F(TpmCommands, A22_A32_OfAConnection)
{
    operate();
    central.set({.no_key_conversation = true});
    const auto first = connection();
    const auto later = connection();
    print("connection with the module key, TPM commands, first", static_cast<double>(first));
    print("connection with the module key, TPM commands, later", static_cast<double>(later));
    central.set({});
    box.boot();
    connect();
    ASSERT_TRUE(
        becomes([&] { return lifecycle::Store(box.directory()).transaction_keys(box.epoch()).keys_size() > 0; }));
    box.boot(); // nothing is loaded any more
    const auto first_psk = connection();
    const auto later_psk = connection();
    EXPECT_EQ(central.with_psk(), 2);
    print("connection with a PSK, TPM commands, first", static_cast<double>(first_psk));
    print("connection with a PSK, TPM commands, later", static_cast<double>(later_psk));
    EXPECT_LE(std::max({later, later_psk}), 3U);
}

// Kilobytes that a process has in memory.
double resident(pid_t process)
{
    std::ifstream status("/proc/" + std::to_string(process) + "/status");
    for (std::string word; status >> word;)
        if (word == "VmRSS:" && status >> word)
            return std::stod(word);
    return 0;
}

Fd connect(sd_bus* bus, const std::string& address)
{
    sd_bus_message* raw = nullptr;
    dbus::check(sd_bus_call_method(bus, dbus::service_name, dbus::object_path, dbus::interface_name, "Connect", nullptr,
                                   &raw, "sa{sv}", address.c_str(), 0),
                "connect");
    const dbus::Message answer(raw);
    int channel = -1;
    dbus::check(sd_bus_message_read(raw, "h", &channel), "read a channel");
    return Fd(fcntl(channel, F_DUPFD_CLOEXEC, 3));
}

TEST(Channels, A22_AThousandAtOnce)
{
    constexpr std::size_t many = 1000;
    rlimit files{8192, 8192};
    setrlimit(RLIMIT_NOFILE, &files); // as imprintd.service has it
    TemporaryDirectory bundle;
    write_file(bundle / "trust.pem", manufacturer().trust_pem());
    TestStation station(manufacturer());
    TestCentral central(manufacturer());
    DaemonProcess device({.trust_bundle = bundle / "trust.pem"});
    device.start();
    ASSERT_EQ(device.imprintctl({"personalize", station.address()}).status, 0);
    central.introduce(lifecycle::Store(device.state_directory()), {&central.certificate()});
    setenv("DBUS_SYSTEM_BUS_ADDRESS", device.bus().address().c_str(), 1);
    sd_bus* raw = nullptr;
    dbus::check(sd_bus_open_system(&raw), "open the bus");
    const dbus::Bus bus(raw);
    { // what the first ones load once
        std::vector<Fd> first;
        for (int i = 0; i < 20; ++i)
            first.push_back(connect(bus.get(), central.address()));
    }
    const auto before = resident(device.process().pid());
    std::vector<Fd> channels;
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < many; ++i)
        channels.push_back(connect(bus.get(), central.address()));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    for (const auto& channel : channels)
        ASSERT_TRUE(echoes(channel));
    print("channels through one imprintd, all echoing", static_cast<double>(channels.size()));
    print("channels opened one after the other, per second", static_cast<double>(many) / took.count());
    print("memory of imprintd for a channel, kB", (resident(device.process().pid()) - before) / many);
    print("of those with a PSK", central.with_psk());
}

} // namespace
} // namespace imprint::test
