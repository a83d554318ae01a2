// SPDX-License-Identifier: Apache-2.0
// What the keys of a data package cost a device's TPM as they grow in number: each imported by itself, and all of them
// under one imported parent (key-file = true). A whole device and a whole station, in one process.
#include "tests/benchmark/chips.h"
#include "tests/device/fixture.h"

#include <cstdio>

namespace imprint::benchmark {

namespace {

constexpr Chip real_chip = chips.front();

station::PackageProfile profile(int keys, bool under_parent)
{
    station::PackageProfile profile;
    profile.entries.clear();
    for (int i = 1; i <= keys; ++i)
        profile.entries.push_back({"key-" + std::to_string(i), station::PairKey{}, under_parent});
    return profile;
}

struct Cost {
    std::size_t commands = 0;
    double milliseconds = 0; // modelled
};

template <class F>
Cost cost_of(test::Wire& wire, F step)
{
    wire.reset();
    step();
    test::CommandCount counted{.commands = wire.count(), .by_code = {}, .busy = {}};
    for (std::uint32_t code = 0x11F; code < 0x1A0; ++code)
        if (const auto count = wire.count(code))
            counted.by_code[code] = count;
    return {counted.commands, modelled_time(real_chip, counted)};
}

struct Costs {
    Cost personalization, recovery, use;
};

// A later personalization, so that making the TPM ready is not among it; and the recovery after a lost disk.
Costs measure(int keys, bool under_parent, bool as_files = false)
{
    const test::TemporaryDirectory directory;
    test::TestStation station(test::manufacturer());
    test::TestDevice device;
    if (as_files)
        device.settings.key_file_directory = directory.path();
    device.boot();
    station.allow(device.chip());
    station.give(profile(keys, under_parent));
    device.personalize(station, true);
    device.device().enter_personalization({});
    Costs costs;
    costs.personalization = cost_of(device.wire, [&] { device.personalize(station); });
    device.device().enter_operating({});
    costs.use = cost_of(device.wire, [&] {
        device.device().use_key({device::KeyUse::Operation::sign, "key-1", {}, Bytes(32, 1), 0});
    });
    const Bytes record = device.device().export_backup();
    device.lose_disk();
    device.boot();
    costs.recovery = cost_of(device.wire, [&] { device.restore(record); });
    if (device.state() != lifecycle::State::operating)
        throw std::runtime_error("the device did not come back");
    return costs;
}

void print(int keys, const Cost& imported, const Cost& under_parent)
{
    const auto ratio = [](double a, double b) { return a / b; };
    std::printf("%4d | %8zu %12zu %6.2f | %8.0f %12.0f %6.2f\n", keys, imported.commands, under_parent.commands,
                ratio(static_cast<double>(imported.commands), static_cast<double>(under_parent.commands)),
                imported.milliseconds, under_parent.milliseconds,
                ratio(imported.milliseconds, under_parent.milliseconds));
}

void print(const char* what, const std::vector<int>& keys, const std::vector<std::pair<Costs, Costs>>& costs,
           Cost Costs::*part)
{
    std::printf("\n%s\n     | TPM commands                 | TPM time modelled on %s (ms)\nkeys | %8s %12s %6s | %8s "
                "%12s %6s\n",
                what, real_chip.name.data(), "imported", "under parent", "ratio", "imported", "under parent", "ratio");
    for (std::size_t i = 0; i < keys.size(); ++i)
        print(keys[i], costs[i].first.*part, costs[i].second.*part);
    const auto growth = [&](const Cost& first, const Cost& last) {
        return static_cast<double>(last.commands) / static_cast<double>(first.commands);
    };
    std::printf("from %d to %d keys: %.2f times the commands imported, %.2f times under a parent\n", keys.front(),
                keys.back(), growth(costs.front().first.*part, costs.back().first.*part),
                growth(costs.front().second.*part, costs.back().second.*part));
}

void print_uses(const Cost& imported, const Cost& under_parent, const Cost& standing)
{
    std::printf("a signature with a key: imported %zu TPM commands (%.0f ms), under a parent that is loaded for it %zu"
                " (%.0f ms), under one that stands in the TPM for key files %zu (%.0f ms): %.2f times\n",
                imported.commands, imported.milliseconds, under_parent.commands, under_parent.milliseconds,
                standing.commands, standing.milliseconds,
                static_cast<double>(standing.commands) / static_cast<double>(under_parent.commands));
}

} // namespace

void run()
{
    const std::vector<int> keys{1, 2, 4, 8, 16};
    std::vector<std::pair<Costs, Costs>> costs;
    for (const int count : keys)
        costs.emplace_back(measure(count, false), measure(count, true));
    print_uses(costs.front().first.use, costs.front().second.use, measure(1, true, true).use);
    print("personalization (not the first)", keys, costs, &Costs::personalization);
    print("recovery after a lost disk", keys, costs, &Costs::recovery);
}

} // namespace imprint::benchmark

int main()
{
    try {
        imprint::benchmark::run();
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
