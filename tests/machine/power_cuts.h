// SPDX-License-Identifier: Apache-2.0
// The power fails in the middle of a job, for the guest and its TPM at once.
#pragma once

#include "tests/machine/machine.h"

#include <functional>
#include <random>
#include <set>

namespace imprint::test {

// What all cuts of a program came to; printed at its end.
struct CutTally {
    std::size_t cuts = 0;
    std::size_t undone = 0; // the cut call was not done yet
    std::size_t done = 0; // it was, whether anybody had been told or not
    std::size_t acknowledged = 0; // calls and records, before a cut
    std::size_t broken = 0; // in none of the whole states
    std::size_t lost = 0; // acknowledged, and not done
};
CutTally& cut_tally();

// The instants of `count` cuts, as shares of a job's duration: one at random in each of as many equal parts, and the
// last one just after the job was acknowledged. The same for one --gtest_random_seed.
std::vector<double> cut_instants(std::size_t count, std::mt19937& random);
std::mt19937 random_instants();
constexpr double once_acknowledged = 2;

struct Job {
    std::string script; // succeeds when the job is acknowledged
    std::set<std::string> whole; // the states in which it may be found
    std::string done; // the one of them that it leads to
};

class PowerCuts {
public:
    PowerCuts(Machine& machine, std::function<std::string()> state)
        : machine_(machine)
        , state_(std::move(state))
    {
    }

    // Runs the job to its end; the instants of its cuts are shares of the time that this took.
    void measure(const Job& job);
    void take_duration(const PowerCuts& measured) { duration_ = measured.duration_; } // of another such board
    // The job, cut off at this share of its duration; then a start. Expects one of its whole states, which it returns,
    // and the one that the job leads to if it was acknowledged.
    std::string cut(const Job& job, double share);

private:
    Machine& machine_;
    std::function<std::string()> state_;
    std::chrono::duration<double> duration_{};
};

} // namespace imprint::test
