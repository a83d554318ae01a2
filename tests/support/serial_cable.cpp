// SPDX-License-Identifier: Apache-2.0
#include "tests/support/serial_cable.h"

#include <array>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/eventfd.h>
#include <termios.h>
#include <unistd.h>

namespace imprint::test {

namespace {

constexpr int patience = 10; // milliseconds between looks at what a test has changed

} // namespace

SerialCable::SerialCable()
    : stop_(eventfd(0, EFD_CLOEXEC))
{
    plug_in();
    thread_ = std::jthread([this] { run(); });
}

SerialCable::~SerialCable() { eventfd_write(stop_.get(), 1); }

void SerialCable::open(End& end, const std::string& name)
{
    termios raw{};
    cfmakeraw(&raw);
    raw.c_cflag |= CREAD | CS8;
    std::array<int, 2> ends{};
    std::array<char, 64> path{};
    if (openpty(&ends[0], &ends[1], path.data(), &raw, nullptr) != 0)
        throw std::runtime_error("no terminal line");
    for (const int fd : ends)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    end.master = Fd(ends[0]);
    end.slave = Fd(ends[1]);
    std::filesystem::remove(directory_ / name);
    std::filesystem::create_symlink(path.data(), directory_ / name);
}

void SerialCable::plug_in()
{
    const std::lock_guard lock(mutex_);
    open(device_, "ttyDevice");
    open(station_, "ttyStation");
    fault_.reset();
}

void SerialCable::set(std::optional<Fault> fault)
{
    const std::lock_guard lock(mutex_);
    fault_ = fault;
    device_.passed.clear();
    station_.passed.clear();
}

Bytes SerialCable::passed(Towards side)
{
    const std::lock_guard lock(mutex_);
    return side == Towards::device ? device_.passed : station_.passed;
}

void SerialCable::say(Towards side, BytesView bytes)
{
    const std::lock_guard lock(mutex_);
    write_all(side == Towards::device ? device_ : station_, bytes);
}

void SerialCable::write_all(const End& to, BytesView bytes) const
{
    while (!bytes.empty()) {
        std::array<pollfd, 2> watched{{{to.master.get(), POLLOUT, 0}, {stop_.get(), POLLIN, 0}}};
        poll(watched.data(), watched.size(), -1);
        if (watched[1].revents != 0)
            return;
        const ssize_t n = write(to.master.get(), bytes.data(), bytes.size());
        if (n > 0)
            bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
}

void SerialCable::forward(End& from, End& to, Towards side)
{
    std::array<std::uint8_t, 1024> buffer{};
    const ssize_t n = read(from.master.get(), buffer.data(), buffer.size());
    if (n <= 0)
        return;
    const std::size_t before = to.passed.size();
    const std::span<std::uint8_t> bytes(buffer.data(), static_cast<std::size_t>(n));
    to.passed.insert(to.passed.end(), bytes.begin(), bytes.end());
    if (!fault_ || fault_->towards != side || fault_->at >= to.passed.size())
        return write_all(to, bytes);
    const std::size_t at = fault_->at < before ? 0 : fault_->at - before;
    switch (fault_->kind) {
    case Fault::Kind::flip:
        if (fault_->at >= before)
            bytes[at] ^= 0x20U;
        return write_all(to, bytes);
    case Fault::Kind::stall:
        return write_all(to, bytes.first(at));
    case Fault::Kind::hang_up:
        device_.master = Fd();
        station_.master = Fd();
        return;
    }
}

void SerialCable::run()
{
    for (;;) {
        std::array<pollfd, 3> watched{{{stop_.get(), POLLIN, 0}, {-1, POLLIN, 0}, {-1, POLLIN, 0}}};
        {
            const std::lock_guard lock(mutex_);
            watched[1].fd = device_.master.get();
            watched[2].fd = station_.master.get();
        }
        poll(watched.data(), watched.size(), patience);
        if (watched[0].revents != 0)
            return;
        const std::lock_guard lock(mutex_);
        forward(device_, station_, Towards::station);
        forward(station_, device_, Towards::device);
    }
}

} // namespace imprint::test
