// SPDX-License-Identifier: Apache-2.0
// The power fails in the middle of a job, for the guest and its TPM at once.
#pragma once

#include "tests/machine/machine.h"

#include <functional>
#include <map>

namespace imprint::test {

// What all cuts of a program came to; printed at its end, with the places.
struct CutTally {
    std::map<std::string, std::vector<std::string>> places; // of each job
    std::size_t cuts = 0;
    std::size_t undone = 0; // the cut call was not done yet
    std::size_t done = 0; // it was, whether anybody had been told or not
    std::size_t acknowledged = 0; // calls and records, before a cut
    std::size_t broken = 0; // not in the state that belongs to the place
    std::size_t lost = 0; // acknowledged, and not done
};
CutTally& cut_tally();

struct Job {
    std::string script; // succeeds when the job is acknowledged
    std::string done; // the state that it leads to
};

class PowerCuts {
public:
    PowerCuts(Machine& machine, std::function<std::string()> state)
        : machine_(machine)
        , state_(std::move(state))
    {
    }

    // The job, cut off where its TPM comes to this place; then a start. Expects this state.
    void cut(const Job& job, const Place& place, const std::string& expected);
    // Cut off just after the job was acknowledged: expects the state that it leads to.
    void cut_when_done(const Job& job);

private:
    void restart(const Job& job, const std::string& place, const std::string& expected, bool acknowledged);

    Machine& machine_;
    std::function<std::string()> state_;
};

} // namespace imprint::test
