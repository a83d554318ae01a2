// SPDX-License-Identifier: Apache-2.0
// Programs in a virtual machine, over a serial line that needs neither network nor login. Behind it is guest-agent.
#pragma once

#include "tests/support/process.h"

namespace imprint::test {

class GuestAgent {
public:
    // `line`: a socket that is our end of the line. Returns when the guest listens at its own; throws
    // std::runtime_error after `limit`.
    GuestAgent(Fd line, std::chrono::seconds limit);

    // A shell script, to its end; nothing if the descriptor `interruption` becomes readable before. Throws
    // std::runtime_error when the line is dead, and after `limit`.
    std::optional<Finished> run(const std::string& script, const std::string& input, std::chrono::seconds limit,
                                int interruption = -1);
    // The same without waiting for an end, which may never come.
    void start(const std::string& script, const std::string& input = {}) const;

private:
    using Clock = std::chrono::steady_clock;

    void send(const std::string& bytes) const;
    // More of what the guest says into `pending_`; false if the interruption came first.
    bool receive(Clock::time_point deadline, int interruption);
    // From `pending_`, if it is there as a whole.
    std::optional<Finished> take_answer();

    Fd line_;
    std::string pending_;
};

} // namespace imprint::test
