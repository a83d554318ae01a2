// SPDX-License-Identifier: Apache-2.0
#include "tests/support/terminal.h"

#include <array>
#include <csignal>
#include <cstdlib>
#include <poll.h>
#include <pty.h>
#include <stdexcept>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

namespace imprint::test {

namespace {

constexpr int patience = 30'000; // milliseconds

} // namespace

Terminal::Terminal(Arguments arguments, const Environment& environment)
{
    // Everything that takes memory happens before the fork.
    std::vector<char*> pointers;
    for (auto& argument : arguments)
        pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    int screen = -1;
    pid_ = forkpty(&screen, nullptr, nullptr, nullptr);
    if (pid_ < 0)
        throw std::runtime_error("no terminal");
    if (pid_ == 0) {
        for (const auto& [name, value] : environment)
            setenv(name.c_str(), value.c_str(), 1);
        execvp(pointers.front(), pointers.data());
        _exit(127);
    }
    screen_ = Fd(screen);
}

Terminal::~Terminal()
{
    if (pid_ < 0)
        return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
}

// False: the program has let go of the terminal.
bool Terminal::read_more()
{
    pollfd waiting{screen_.get(), POLLIN, 0};
    if (poll(&waiting, 1, patience) != 1)
        throw std::runtime_error("the terminal stays silent after: " + pending_);
    std::array<char, 4096> bytes{};
    const ssize_t count = read(screen_.get(), bytes.data(), bytes.size());
    if (count <= 0)
        return false;
    pending_.append(bytes.data(), static_cast<std::size_t>(count));
    return true;
}

std::string Terminal::wait_for(const std::string& text)
{
    for (;;) {
        if (const auto at = pending_.find(text); at != std::string::npos) {
            auto shown = pending_.substr(0, at + text.size());
            pending_.erase(0, at + text.size());
            return shown;
        }
        if (!read_more())
            throw std::runtime_error("'" + text + "' did not come: " + pending_);
    }
}

void Terminal::type(const std::string& keys) const
{
    if (write(screen_.get(), keys.data(), keys.size()) != static_cast<ssize_t>(keys.size()))
        throw std::runtime_error("cannot type");
}

bool Terminal::echoes() const
{
    termios modes{};
    tcgetattr(screen_.get(), &modes);
    return (modes.c_lflag & ECHO) != 0;
}

std::string Terminal::rest()
{
    while (read_more())
        ;
    return std::exchange(pending_, {});
}

int Terminal::wait()
{
    rest();
    int status = 0;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

} // namespace imprint::test
