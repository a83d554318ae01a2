// SPDX-License-Identifier: Apache-2.0
#include "dbus/imprintctl/hidden_line.h"

#include "daemon/base/error.h"
#include "daemon/base/file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <iostream>
#include <poll.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

namespace imprint::ctl {

namespace {

constexpr std::size_t longest_line = 256; // longer than any that is of use

// While it lives, what would end or stop the process is read here instead, so that the terminal is put right first.
class HeldSignals {
public:
    HeldSignals()
    {
        sigset_t held;
        sigemptyset(&held);
        for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP})
            sigaddset(&held, number);
        sigprocmask(SIG_BLOCK, &held, &before_);
        fd_ = Fd(signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK));
        if (!fd_)
            throw_errno("cannot watch signals");
    }
    ~HeldSignals() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
    HeldSignals(const HeldSignals&) = delete;
    HeldSignals& operator=(const HeldSignals&) = delete;

    int fd() const { return fd_.get(); }
    int take() const // 0: none
    {
        signalfd_siginfo info{};
        return read(fd_.get(), &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
    }
    // Returns when the process goes on.
    static void stop_process()
    {
        sigset_t stop;
        sigemptyset(&stop);
        sigaddset(&stop, SIGTSTP);
        raise(SIGTSTP);
        sigprocmask(SIG_UNBLOCK, &stop, nullptr);
        sigprocmask(SIG_BLOCK, &stop, nullptr);
    }

private:
    sigset_t before_{};
    Fd fd_;
};

// Nothing that is typed is shown, and what was typed too much or too early is thrown away.
class Hiding {
public:
    Hiding()
    {
        if (tcgetattr(STDIN_FILENO, &before_) != 0)
            throw_errno("cannot ask on the terminal");
        hide();
    }
    ~Hiding() { show(); }
    Hiding(const Hiding&) = delete;
    Hiding& operator=(const Hiding&) = delete;

    void hide() const
    {
        termios hidden = before_;
        hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHOE | ECHOK);
        hidden.c_lflag |= ICANON | ISIG | ECHONL;
        if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) != 0)
            throw_errno("cannot hide what is typed");
    }
    void show() const noexcept { tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_); }

private:
    termios before_{};
};

void handle(int number, const Hiding& hiding, const std::string& prompt)
{
    hiding.show();
    if (number != SIGTSTP) {
        std::cerr << '\n';
        throw Error(Reason::cancelled, "interrupted while a transaction number was typed");
    }
    HeldSignals::stop_process();
    hiding.hide();
    std::cerr << prompt << std::flush;
}

} // namespace

Secret read_hidden_line(const std::string& prompt)
{
    const HeldSignals signals;
    const Hiding hiding;
    std::cerr << prompt << std::flush;
    for (;;) {
        std::array<pollfd, 2> watched{{{signals.fd(), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
        if (poll(watched.data(), watched.size(), -1) < 0 && errno != EINTR)
            throw_errno("cannot wait for the terminal");
        if (watched[0].revents != 0) {
            if (const int number = signals.take(); number != 0)
                handle(number, hiding, prompt);
            continue;
        }
        if (watched[1].revents == 0)
            continue;
        Secret line(longest_line);
        const ssize_t size = read(STDIN_FILENO, line.data(), line.size());
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            throw Error(Reason::transaction_number_required, "none was typed");
        line.resize(static_cast<std::size_t>(size));
        return line;
    }
}

} // namespace imprint::ctl
