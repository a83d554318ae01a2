// SPDX-License-Identifier: Apache-2.0
// A station that imprintctl itself opens the way to, for a call that hands the descriptor over.
#pragma once

#include "daemon/base/file.h"

#include <optional>
#include <string>
#include <sys/types.h>

namespace imprint::ctl {

// A command in the shell, as ssh(1) runs a ProxyCommand: its standard input and output are one end of a socket pair.
class ProxyCommand {
public:
    // Throws Error(invalid_argument) if it cannot be started.
    explicit ProxyCommand(const std::string& command);
    ~ProxyCommand();
    ProxyCommand(const ProxyCommand&) = delete;
    ProxyCommand& operator=(const ProxyCommand&) = delete;

    int descriptor() const { return ours_.get(); }
    // Lets go of the line and waits for the command's end; one that goes on is told to. What became of it, in words;
    // nothing if it ended with 0.
    std::optional<std::string> finish();

private:
    bool has_ended(int milliseconds);

    Fd ours_;
    Fd process_;
    pid_t pid_ = -1;
};

} // namespace imprint::ctl
