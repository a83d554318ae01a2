// SPDX-License-Identifier: Apache-2.0
// What a connection costs the central system: with the module key's certificate, and with a PSK of a transaction key.
// The real program, and devices in software; prints "name: value" lines.
#include "tests/central/running_central.h"

#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <unistd.h>

namespace imprint::benchmark {

namespace {

constexpr int lines = 4; // devices that connect at a time
constexpr int connections = 250; // of each

using Clock = std::chrono::steady_clock;
using Settings = std::function<test::ClientSettings()>;

void print(const std::string& name, double value, int decimals = 0)
{
    std::printf("%s: %.*f\n", name.c_str(), decimals, value);
}

// User and system time of all threads, in seconds (proc(5), fields 14 and 15 of stat).
double cpu_seconds(pid_t pid)
{
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    std::istringstream fields(text.substr(text.rfind(')') + 2));
    const std::vector<std::string> all{std::istream_iterator<std::string>(fields), {}};
    return static_cast<double>(std::stoul(all.at(11)) + std::stoul(all.at(12))) /
        static_cast<double>(sysconf(_SC_CLK_TCK));
}

// One connection from its beginning to both sides' close_notify, so that the central has done its part.
void connect(const std::string& address, const Settings& settings, bool psk)
{
    test::DeviceClient client(address, settings());
    if (const auto refused = client.handshake(); !refused.empty())
        throw std::runtime_error(refused);
    if (client.by_psk() != psk)
        throw std::runtime_error("not the handshake that was meant");
    client.close_half();
    client.read_all();
}

struct Rates {
    double by_time; // connections a second, clients on the same machine
    double by_cpu; // connections a second of the central's own processor time
};

Rates measure(const test::RunningCentral& central, const Settings& settings, bool psk)
{
    const double cpu = cpu_seconds(central.pid());
    const auto start = Clock::now();
    std::vector<std::exception_ptr> failures(lines);
    std::vector<std::thread> threads;
    for (auto& failure : failures)
        threads.emplace_back([&] {
            try {
                for (int i = 0; i < connections; ++i)
                    connect(central.address, settings, psk);
            } catch (...) {
                failure = std::current_exception();
            }
        });
    for (auto& thread : threads)
        thread.join();
    for (const auto& failure : failures)
        if (failure)
            std::rethrow_exception(failure);
    const double all = double{lines} * connections;
    return {all / std::chrono::duration<double>(Clock::now() - start).count(),
            all / (cpu_seconds(central.pid()) - cpu)};
}

void handshakes()
{
    test::RunningCentral central;
    const test::SoftwareModule device(central.pki, "SN-1");
    const auto key = central.plant_key(device);
    central.start();
    const Settings with_certificate = [&device] { return device.settings(); };
    const Settings with_psk = [&device, &key] { return device.settings(key); };
    connect(central.address, with_certificate, false); // warm
    const Rates full = measure(central, with_certificate, false);
    const Rates psk = measure(central, with_psk, true);
    print("connections a second, full handshake", full.by_time);
    print("connections a second, PSK", psk.by_time);
    print("PSK to full handshake, by time", psk.by_time / full.by_time, 2);
    print("connections a second of the central's processor time, full handshake", full.by_cpu);
    print("connections a second of the central's processor time, PSK", psk.by_cpu);
    print("PSK to full handshake, by the central's processor time", psk.by_cpu / full.by_cpu, 2);
}

} // namespace

} // namespace imprint::benchmark

int main()
{
    try {
        imprint::benchmark::handshakes();
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
