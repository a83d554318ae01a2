// SPDX-License-Identifier: Apache-2.0
#include "dbus/imprintctl/joint.h"

#include <array>
#include <cerrno>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace imprint::ctl {

namespace {

// A pipe that poll(2) calls writable takes this much without waiting.
constexpr std::size_t piece = PIPE_BUF;

bool later() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

ssize_t write_some(int fd, BytesView data)
{
    const ssize_t n = ::send(fd, data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return n < 0 && errno == ENOTSOCK ? ::write(fd, data.data(), data.size()) : n;
}

// One way. What cannot be read any more has ended; what cannot be written to is gone.
class Direction {
public:
    Direction(const Fd& from, Fd& to)
        : from_(from)
        , to_(to)
    {
    }
    pollfd source() const { return {waiting_.empty() && !ended_ ? from_.get() : -1, POLLIN, 0}; }
    pollfd sink() const { return {waiting_.empty() ? -1 : to_.get(), POLLOUT, 0}; }
    bool ended() const { return ended_ && waiting_.empty(); }
    bool sink_gone() const { return gone_; }

    void serve(bool readable, bool writable)
    {
        if (readable)
            read();
        if (writable)
            write();
        if (ended() && !told_)
            tell();
    }

private:
    void read()
    {
        waiting_.resize(piece);
        const ssize_t n = ::read(from_.get(), waiting_.data(), waiting_.size());
        ended_ = n == 0 || (n < 0 && !later());
        waiting_.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    }
    void write()
    {
        const ssize_t n = write_some(to_.get(), waiting_);
        gone_ = n < 0 && !later();
        if (n > 0)
            waiting_.erase(waiting_.begin(), waiting_.begin() + n);
    }
    // A pipe's end is told by closing it.
    void tell()
    {
        told_ = true;
        if (shutdown(to_.get(), SHUT_WR) != 0 && errno == ENOTSOCK)
            to_ = Fd();
    }

    const Fd& from_;
    Fd& to_;
    Bytes waiting_;
    bool ended_ = false, told_ = false, gone_ = false;
};

bool hung_up(int fd)
{
    pollfd end{fd, 0, 0};
    return poll(&end, 1, 0) == 1 && (end.revents & (POLLHUP | POLLERR)) != 0;
}

} // namespace

void join(Fd in, Fd out, Fd channel)
{
    Direction there(in, channel);
    Direction back(channel, out);
    while (!there.ended() || !back.ended()) {
        // The last is watched for its hanging up: imprintd has closed the channel altogether.
        std::array<pollfd, 5> ends{
            {there.source(), there.sink(), back.source(), back.sink(), {back.ended() ? channel.get() : -1, 0, 0}}};
        if (poll(ends.data(), ends.size(), -1) < 0 && errno != EINTR)
            throw_errno("cannot wait");
        there.serve(ends[0].revents != 0, ends[1].revents != 0);
        back.serve(ends[2].revents != 0, ends[3].revents != 0);
        if (there.sink_gone() || back.sink_gone() || (back.ended() && hung_up(channel.get())))
            return;
    }
}

} // namespace imprint::ctl
