// SPDX-License-Identifier: Apache-2.0
// The client of QEMU's guest agent: programs in a virtual machine, over a line that needs neither network nor login.
#pragma once

#include "tests/support/process.h"

#include <nlohmann/json_fwd.hpp>

namespace imprint::test {

class GuestAgent {
public:
    // `socket`: QEMU's end of the line. Returns when the agent behind it answers; throws std::runtime_error after
    // `limit`.
    GuestAgent(const std::filesystem::path& socket, std::chrono::seconds limit);

    // Starts a shell script; its number.
    std::int64_t start(const std::string& script, const std::string& input = {});
    // What became of it, once it has ended.
    std::optional<Finished> ended(std::int64_t number);

private:
    using Clock = std::chrono::steady_clock;

    bool answers(unsigned number);
    nlohmann::json call(const std::string& command, const nlohmann::json& arguments);
    void send(const std::string& bytes) const;
    // The next line, without its end; nothing at the deadline. Throws std::runtime_error when the line is dead.
    std::optional<std::string> line(Clock::time_point deadline);

    Fd socket_;
    std::string pending_;
};

} // namespace imprint::test
