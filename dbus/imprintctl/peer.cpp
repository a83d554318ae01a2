// SPDX-License-Identifier: Apache-2.0
#include "dbus/imprintctl/peer.h"

#include "daemon/base/error.h"

#include <array>
#include <csignal>
#include <cstring>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace imprint::ctl {

namespace {

constexpr int patience = 5000; // milliseconds, until the command has noticed

// The signals that our own event loop waits for are the command's again.
int spawn(pid_t& pid, int line, const std::string& command)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, line, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, line, STDOUT_FILENO);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    std::string shell = "/bin/sh", option = "-c", script = "exec " + command;
    std::array<char*, 4> arguments{shell.data(), option.data(), script.data(), nullptr};
    const int fault = posix_spawn(&pid, shell.c_str(), &actions, &attributes, arguments.data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return fault;
}

} // namespace

ProxyCommand::ProxyCommand(const std::string& command)
{
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
        throw_errno("cannot make a socket pair");
    ours_ = Fd(ends[0]);
    const Fd theirs(ends[1]);
    if (const int fault = spawn(pid_, theirs.get(), command); fault != 0)
        throw Error(Reason::invalid_argument, "cannot run the command: " + std::string(std::strerror(fault)));
    process_ = Fd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
}

ProxyCommand::~ProxyCommand() { finish(); }

bool ProxyCommand::has_ended(int milliseconds)
{
    pollfd ended{process_.get(), POLLIN, 0};
    return poll(&ended, 1, milliseconds) == 1;
}

std::optional<std::string> ProxyCommand::finish()
{
    if (pid_ < 0)
        return std::nullopt;
    ours_ = Fd();
    if (!has_ended(patience)) {
        kill(pid_, SIGTERM);
        if (!has_ended(patience))
            kill(pid_, SIGKILL);
    }
    int status = 0;
    waitpid(std::exchange(pid_, -1), &status, 0);
    if (WIFSIGNALED(status))
        return "was ended by signal " + std::to_string(WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return "ended with status " + std::to_string(WEXITSTATUS(status));
    return std::nullopt;
}

} // namespace imprint::ctl
