// SPDX-License-Identifier: Apache-2.0
#include "tests/machine/power_cuts.h"

#include <gtest/gtest.h>

#include <iostream>

namespace imprint::test {

namespace {

class Summary : public testing::Environment {
public:
    void TearDown() override
    {
        const auto& tally = cut_tally();
        std::cout << "power cuts: " << tally.cuts << " of machine and TPM at once, broken states " << tally.broken
                  << ", lost acknowledgements " << tally.lost << "; calls found undone " << tally.undone << ", done "
                  << tally.done << ", acknowledged before a cut " << tally.acknowledged << '\n';
        for (const auto& [job, places] : tally.places) {
            std::cout << "power cuts: in " << job << ": ";
            for (std::size_t i = 0; i < places.size(); ++i)
                std::cout << (i == 0 ? "" : ", ") << places[i];
            std::cout << '\n';
        }
        std::cout << "power cuts: not proved here: a disk that forgets what it has not flushed, a TPM chip whose own "
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

void PowerCuts::cut(const Job& job, const Place& place, const std::string& expected)
{
    const auto finished = machine_.run_until(place, job.script);
    EXPECT_FALSE(finished) << job.script << " does not come to the place " << place.name() << ": " << finished->out
                           << finished->err;
    restart(job, place.name(), expected, finished && finished->status == 0);
}

void PowerCuts::cut_when_done(const Job& job)
{
    const auto finished = machine_.run(job.script);
    EXPECT_EQ(finished.status, 0) << finished.out << finished.err;
    restart(job, "once acknowledged", job.done, finished.status == 0);
}

void PowerCuts::restart(const Job& job, const std::string& place, const std::string& expected, bool acknowledged)
{
    machine_.cut_power();
    machine_.start();
    const auto found = state_();
    const bool done = found == job.done;
    EXPECT_EQ(found, expected) << "after a cut " << place << " of " << job.script;

    auto& tally = cut_tally();
    tally.places[job.script].push_back(place + " (" + found + ")");
    ++tally.cuts;
    ++(done ? tally.done : tally.undone);
    tally.acknowledged += acknowledged ? 1 : 0;
    tally.broken += found == expected ? 0 : 1;
    tally.lost += acknowledged && !done ? 1 : 0;
}

} // namespace imprint::test
