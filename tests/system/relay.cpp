// SPDX-License-Identifier: Apache-2.0
#include "tests/system/relay.h"

#include "daemon/tls/stream.h"

#include <array>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace imprint::test {

namespace {

// Whether `fd` can be read; false once `stop` can.
bool ready(int fd, int stop)
{
    std::array<pollfd, 2> watched{{{fd, POLLIN, 0}, {stop, POLLIN, 0}}};
    return poll(watched.data(), watched.size(), -1) > 0 && watched[1].revents == 0;
}

bool pass(int from, int to, std::atomic<std::size_t>& passed)
{
    std::array<char, 16384> buffer{};
    const ssize_t n = recv(from, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN;
    passed += static_cast<std::size_t>(n);
    return n > 0 && send(to, buffer.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL) == n;
}

} // namespace

Relay::Relay()
    : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))
    , stop_(eventfd(0, EFD_CLOEXEC))
    , opened_(eventfd(0, EFD_CLOEXEC))
{
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof name;
    if (bind(listener_.get(), reinterpret_cast<sockaddr*>(&name), size) != 0 || listen(listener_.get(), 8) != 0 ||
        getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&name), &size) != 0)
        throw_errno("cannot listen");
    address_ = "127.0.0.1:" + std::to_string(ntohs(name.sin_port));
    thread_ = std::jthread([this] { serve(); });
}

Relay::~Relay()
{
    eventfd_write(stop_.get(), 1);
    thread_.join();
    connections_.clear();
}

void Relay::open(const std::string& station)
{
    station_ = station;
    eventfd_write(opened_.get(), 1);
}

void Relay::serve()
{
    while (ready(listener_.get(), stop_.get())) {
        // Shared, because std::jthread copies what it runs.
        auto device = std::make_shared<Fd>(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        connections_.emplace_back([this, device] { join(std::move(*device)); });
    }
}

void Relay::join(Fd device)
{
    if (!ready(opened_.get(), stop_.get()))
        return;
    const tls::Cancel never;
    const Fd station = tls::connect(station_, 1, std::chrono::steady_clock::now() + std::chrono::seconds(20), never);
    fcntl(station.get(), F_SETFL, fcntl(station.get(), F_GETFL) & ~O_NONBLOCK);
    for (bool both = true; both;) {
        std::array<pollfd, 3> watched{
            {{device.get(), POLLIN, 0}, {station.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
        poll(watched.data(), watched.size(), -1);
        if (watched[2].revents != 0)
            return;
        both = pass(device.get(), station.get(), passed_) && pass(station.get(), device.get(), passed_);
    }
}

} // namespace imprint::test
