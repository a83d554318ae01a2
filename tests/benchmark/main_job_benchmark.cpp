// SPDX-License-Identifier: Apache-2.0
// What the main job costs: TPM commands on the wire, the TPM's share of the time, modelled time on real chips; and
// what imprintd costs while it idles. Real programs throughout; prints "name: value" lines.
#include "tests/benchmark/chips.h"
#include "tests/support/daemon_process.h"
#include "tests/support/factory.h"

#include <cstdio>
#include <fstream>
#include <functional>
#include <poll.h>
#include <stdexcept>

namespace imprint::benchmark {

namespace {

using Clock = std::chrono::steady_clock;

void print(const std::string& name, double value, int decimals = 0)
{
    std::printf("%s: %.*f\n", name.c_str(), decimals, value);
}

// One device whose TPM commands are counted.
class Measured {
public:
    explicit Measured(const test::Factory& factory)
        : device_({.trust_bundle = factory.trust_bundle()})
    {
        device_.set_tcti_options("count=" + count_file().string());
        device_.start();
    }

    test::Process& process() { return device_.process(); }
    test::CommandCount counted() const { return test::read_count_file(count_file()); }
    test::Finished imprintctl(const test::Arguments& arguments) const { return device_.imprintctl(arguments); }

    void lose_disk()
    {
        device_.kill();
        device_.wipe_disk();
        device_.start();
    }

    void must(const test::Arguments& arguments) const
    {
        const auto finished = imprintctl(arguments);
        if (finished.status != 0)
            throw std::runtime_error(finished.out + finished.err);
    }

private:
    std::filesystem::path count_file() const { return device_.directory() / "count"; }
    test::DaemonProcess device_;
};

test::CommandCount operator-(test::CommandCount after, const test::CommandCount& before)
{
    after.commands -= before.commands;
    after.busy -= before.busy;
    for (const auto& [code, count] : before.by_code)
        after.by_code[code] -= count;
    return after;
}

void print_cost(const std::string& name, const test::CommandCount& cost, double seconds)
{
    print(name + ", TPM commands", static_cast<double>(cost.commands));
    print(name + ", time in which the TPM was busy (%)",
          100 * std::chrono::duration<double>(cost.busy).count() / seconds);
    for (const auto& chip : chips)
        print(name + ", TPM time modelled on " + std::string(chip.name) + " (ms)", modelled_time(chip, cost));
}

// Runs the step, prints what it cost, and fails above `allowed` TPM commands.
void measure(const std::string& name, const Measured& device, std::size_t allowed, const std::function<void()>& step)
{
    const auto before = device.counted();
    const auto start = Clock::now();
    step();
    const auto seconds = std::chrono::duration<double>(Clock::now() - start).count();
    const auto cost = device.counted() - before;
    print_cost(name, cost, seconds);
    print(name + ", TPM commands allowed", static_cast<double>(allowed));
    if (cost.commands > allowed)
        throw std::runtime_error(name + " takes more TPM commands than allowed");
}

// A number of /proc/PID/status, the first of its line.
std::uint64_t status_number(pid_t pid, const std::string& name)
{
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with(name + ":"))
            return std::stoull(line.substr(name.size() + 1));
    throw std::runtime_error("no " + name + " in /proc");
}

std::uint64_t wake_ups(pid_t pid)
{
    std::uint64_t sum = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task"))
        sum += status_number(std::stoi(task.path().filename()), "voluntary_ctxt_switches");
    return sum;
}

void measure_idle(const test::Process& imprintd)
{
    constexpr int seconds = 5;
    const auto pid = imprintd.pid();
    const auto before = wake_ups(pid);
    poll(nullptr, 0, seconds * 1000); // this is what is measured: nothing happens
    print("imprintd idle, resident memory (KiB)", static_cast<double>(status_number(pid, "VmRSS")));
    print("imprintd idle, wake-ups in " + std::to_string(seconds) + " s", static_cast<double>(wake_ups(pid) - before));
}

// Where no station can be reached the TPM is prepared all the same: that tells the one-time cost.
void prepare(const Measured& device)
{
    const auto before = device.counted();
    if (device.imprintctl({"personalize", "127.0.0.1:1"}).status == 0)
        throw std::runtime_error("something personalizes at port 1");
    print("preparation of a blank TPM (and a look after the failed call), TPM commands",
          static_cast<double>((device.counted() - before).commands));
}

void main_job()
{
    const test::Factory factory;
    Measured device(factory);
    const auto personalize = [&] { device.must({"personalize", factory.station_address()}); };
    print("start of imprintd on a blank TPM, TPM commands", static_cast<double>(device.counted().commands));
    prepare(device);
    measure("first personalization", device, 44, personalize);
    device.must({"enter-personalization"});
    measure("later personalization", device, 38, personalize);
    measure_idle(device.process());
    factory.wait_for_outbox();
    device.lose_disk();
    measure("recovery --check", device, 24, [&] { device.must({"recover", "--check", factory.archive_address()}); });
    measure("recovery", device, 24, [&] { device.must({"recover", factory.archive_address()}); });
}

} // namespace

} // namespace imprint::benchmark

int main()
{
    try {
        imprint::benchmark::main_job();
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
