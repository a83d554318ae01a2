// SPDX-License-Identifier: Apache-2.0
// A program on a terminal of its own, and a test that sits in front of it.
#pragma once

#include "tests/support/process.h"

namespace imprint::test {

class Terminal {
public:
    // Standard input, output and error are the terminal, which also is the controlling one.
    explicit Terminal(Arguments arguments, const Environment& environment = {});
    ~Terminal();
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;

    // What the screen got since the last call, up to and with `text`. Throws std::runtime_error if it does not come.
    std::string wait_for(const std::string& text);
    void type(const std::string& keys) const;
    bool echoes() const;
    // What the screen got since then, to the program's end.
    std::string rest();
    int wait(); // the exit code, or 128 + signal
    pid_t pid() const { return pid_; }

private:
    bool read_more();

    Fd screen_;
    pid_t pid_ = -1;
    std::string pending_;
};

} // namespace imprint::test
