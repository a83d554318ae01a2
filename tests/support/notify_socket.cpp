// SPDX-License-Identifier: Apache-2.0
#include "tests/support/notify_socket.h"

#include <algorithm>
#include <array>
#include <poll.h>
#include <stdexcept>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace imprint::test {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

} // namespace

NotifySocket::NotifySocket(const std::filesystem::path& path)
    : fd_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0))
    , stop_(eventfd(0, EFD_CLOEXEC))
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.native().size() >= sizeof address.sun_path)
        throw std::runtime_error("too long for a socket: " + path.native());
    std::ranges::copy(path.native(), address.sun_path);
    if (bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        throw_errno("cannot bind " + path.native());
    reader_ = std::jthread([this] { read(); });
}

NotifySocket::~NotifySocket()
{
    eventfd_write(stop_.get(), 1);
    reader_.join();
}

void NotifySocket::read()
{
    std::array<pollfd, 2> waiting{{{fd_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
    std::array<char, 4096> buffer{};
    while (poll(waiting.data(), waiting.size(), -1) > 0 && waiting[1].revents == 0) {
        const ssize_t n = recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (n < 0)
            continue;
        const std::lock_guard lock(mutex_);
        messages_.emplace_back(buffer.data(), static_cast<std::size_t>(n));
        news_.notify_all();
    }
}

std::optional<std::string> NotifySocket::take(std::chrono::milliseconds limit)
{
    std::unique_lock lock(mutex_);
    if (!news_.wait_for(lock, limit, [this] { return !messages_.empty(); }))
        return std::nullopt;
    std::string message = std::move(messages_.front());
    messages_.pop_front();
    return message;
}

std::string NotifySocket::wait_for(const std::string& line, std::chrono::seconds limit)
{
    const auto deadline = Clock::now() + limit;
    for (auto left = limit + 0ms; left > 0ms;
         left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()))
        if (auto message = take(left);
            message && ("\n" + *message + "\n").find("\n" + line + "\n") != std::string::npos)
            return *message;
    throw std::runtime_error("no " + line + " in time");
}

} // namespace imprint::test
