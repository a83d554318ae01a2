// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/serial.h"
#include "daemon/tls/address.h"
#include "daemon/tls/link.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <cerrno>
#include <cstring>

namespace imprint::tls {

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void throw_refused(const std::string& address, int code)
{
    throw Error(Reason::connection_refused, "cannot connect to " + address + ": " + std::strerror(code));
}

// A Unix socket whose backlog is full says EAGAIN and offers nothing to wait for.
int begin(int fd, const Endpoint& endpoint, const std::string& name, Deadline deadline, const Cancel& cancel)
{
    constexpr auto pause = std::chrono::milliseconds(20);
    while (::connect(fd, reinterpret_cast<const sockaddr*>(&endpoint.address), endpoint.size) != 0) {
        if (errno != EAGAIN)
            return errno;
        if (Clock::now() >= deadline)
            throw Error(Reason::timed_out, "while connecting to " + name);
        try {
            wait(-1, 0, std::min(deadline, Clock::now() + pause), cancel, "while connecting to " + name);
        } catch (const Error& error) {
            if (error.reason() != Reason::timed_out)
                throw;
        }
    }
    return 0;
}

// Requests and answers take turns: nothing is gained by holding back the end of a message.
void send_at_once(int fd)
{
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Fd connect_to(const Endpoint& endpoint, const std::string& name, Deadline deadline, const Cancel& cancel)
{
    Fd fd(socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd)
        throw_refused(name, errno);
    int fault = begin(fd.get(), endpoint, name, deadline, cancel);
    if (fault == EINPROGRESS || fault == EINTR) {
        wait(fd.get(), POLLOUT, deadline, cancel, "while connecting to " + name);
        socklen_t size = sizeof fault;
        if (getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &fault, &size) != 0)
            fault = errno;
    }
    if (fault != 0)
        throw_refused(name, fault);
    if (endpoint.address.ss_family != AF_UNIX)
        send_at_once(fd.get());
    return fd;
}

// The time left is shared out, so that one dead address does not use up that of the next.
Deadline share_of(Deadline deadline, std::size_t addresses)
{
    const auto now = Clock::now();
    return now + (deadline - now) / static_cast<Clock::rep>(addresses);
}

} // namespace

Fd connect_to_any(const Endpoints& endpoints, const std::string& address, Deadline deadline, const Cancel& cancel)
{
    for (std::size_t left = endpoints.size(); left > 0; --left) {
        try {
            return connect_to(endpoints[endpoints.size() - left], address, share_of(deadline, left), cancel);
        } catch (const Error& error) {
            if (left == 1 || error.reason() == Reason::cancelled)
                throw;
        }
    }
    throw Error(Reason::connection_refused, "no address for " + address);
}

Fd connect(const std::string& address, std::uint16_t default_port, Deadline deadline, const Cancel& cancel)
{
    if (is_serial(address))
        return open_serial(parse_serial(address));
    const auto endpoints = resolve(parse_address(address, default_port), deadline, cancel, look_up);
    return connect_to_any(endpoints, address, deadline, cancel);
}

} // namespace imprint::tls
