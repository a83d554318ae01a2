// SPDX-License-Identifier: Apache-2.0
#include "tests/machine/power_cuts.h"

#include <gtest/gtest.h>

#include <iostream>
#include <thread>

namespace imprint::test {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto pause = 5ms;

class Summary : public testing::Environment {
public:
    void SetUp() override
    {
        std::cout << "power cuts: the instants are those of --gtest_random_seed=" << GTEST_FLAG_GET(random_seed)
                  << '\n';
    }
    void TearDown() override
    {
        const auto& tally = cut_tally();
        std::cout << "power cuts: " << tally.cuts << " of machine and TPM at once; calls found undone: " << tally.undone
                  << ", done: " << tally.done << "; acknowledged before a cut: " << tally.acknowledged
                  << "; broken states: " << tally.broken << ", lost acknowledgements: " << tally.lost << '\n'
                  << "power cuts: not proved here: a disk that forgets what it has not flushed, a TPM chip whose own "
                     "memory is torn\n";
    }
};

const auto* const summary = testing::AddGlobalTestEnvironment(new Summary);

} // namespace

CutTally& cut_tally()
{
    static CutTally tally;
    return tally;
}

std::mt19937 random_instants() { return std::mt19937(static_cast<unsigned>(GTEST_FLAG_GET(random_seed))); }

std::vector<double> cut_instants(std::size_t count, std::mt19937& random)
{
    std::vector<double> instants;
    const auto parts = static_cast<double>(count - 1);
    for (std::size_t part = 0; part + 1 < count; ++part)
        instants.push_back((static_cast<double>(part) + std::uniform_real_distribution<>(0, 1)(random)) / parts);
    instants.push_back(once_acknowledged);
    return instants;
}

void PowerCuts::measure(const Job& job)
{
    const auto began = Clock::now();
    machine_.must(job.script);
    duration_ = Clock::now() - began;
    ASSERT_EQ(state_(), job.done);
}

std::string PowerCuts::cut(const Job& job, double share)
{
    const auto number = machine_.begin(job.script);
    const auto instant = Clock::now() + std::chrono::duration_cast<Clock::duration>(duration_ * share);
    std::optional<Finished> finished;
    if (share == once_acknowledged)
        while (!(finished = machine_.ended(number)))
            std::this_thread::sleep_for(pause);
    else
        std::this_thread::sleep_until(instant);
    if (!finished)
        finished = machine_.ended(number);
    machine_.cut_power();
    machine_.start();

    auto& tally = cut_tally();
    const auto found = state_();
    const bool acknowledged = finished && finished->status == 0;
    const bool done = found == job.done;
    EXPECT_TRUE(!finished || acknowledged) << finished->out << finished->err;
    EXPECT_TRUE(job.whole.contains(found)) << found << " after a cut at " << share << " of " << job.script;
    EXPECT_TRUE(done || !acknowledged) << found << " after " << job.script << " was acknowledged";
    ++tally.cuts;
    ++(done ? tally.done : tally.undone);
    tally.acknowledged += acknowledged ? 1 : 0;
    tally.broken += job.whole.contains(found) ? 0 : 1;
    tally.lost += acknowledged && !done ? 1 : 0;
    return found;
}

} // namespace imprint::test
