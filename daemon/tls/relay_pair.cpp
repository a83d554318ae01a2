// SPDX-License-Identifier: Apache-2.0
#include "daemon/tls/relay_pair.h"

#include <openssl/err.h>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace imprint::tls {

namespace {

void set_nonblocking(int fd)
{
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        throw Error(Reason::invalid_argument, std::string("not a usable descriptor: ") + std::strerror(errno));
}

bool later() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

// Frees the room, too.
void drop_front(Bytes& waiting, std::size_t size)
{
    if (size == waiting.size())
        Bytes().swap(waiting);
    else
        waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(size));
}

} // namespace

RelayPair::RelayPair(Established remote, Fd local, int epoll, std::uint64_t number)
    : epoll_(epoll)
    , number_(number)
    , remote_{std::move(remote.fd)}
    , local_{std::move(local)}
    , ssl_(std::move(remote.ssl))
{
    set_nonblocking(remote_.fd.get());
    set_nonblocking(local_.fd.get());
    SSL_set_mode(ssl_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE);
    SSL_set_mode(ssl_.get(), SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_set_mode(ssl_.get(), SSL_MODE_RELEASE_BUFFERS);
}

RelayPair::~RelayPair()
{
    if (!told_remote_)
        SSL_shutdown(ssl_.get());
    ERR_clear_error();
}

bool RelayPair::serve(Side side, std::uint32_t events, Room room)
{
    // Hanging up tells that an end is gone altogether; what it sent before is read first.
    const bool remote = side == Side::remote;
    const bool hung_up = (events & (EPOLLHUP | EPOLLERR)) != 0;
    local_gone_ = local_gone_ || (!remote && local_ended_ && hung_up);
    remote_gone_ = remote_gone_ || (remote && remote_ended_ && hung_up);
    if ((remote || !to_local_.empty()) && !from_remote(room))
        return false;
    if ((!remote || !to_remote_.empty() || local_ended_) && !from_local(room))
        return false;
    if (over())
        return false;
    watch();
    return true;
}

bool RelayPair::over() const
{
    const bool from_remote_done = local_gone_ || (remote_ended_ && told_local_);
    const bool from_local_done = remote_gone_ || (local_ended_ && told_remote_);
    return from_remote_done && from_local_done;
}

// --- from the TLS connection to the local descriptor. False: the connection is broken.

bool RelayPair::from_remote(Room room)
{
    if (local_gone_)
        Bytes().swap(to_local_);
    else if (!to_local_.empty())
        drop_front(to_local_, write_local(to_local_));
    else if (!remote_ended_ && !read_remote(room))
        return false;
    tell_local();
    return true;
}

bool RelayPair::read_remote(Room room)
{
    ERR_clear_error();
    std::size_t size = 0;
    const int result = SSL_read_ex(ssl_.get(), room.data(), room.size(), &size);
    const int error = SSL_get_error(ssl_.get(), result);
    read_wants_write_ = error == SSL_ERROR_WANT_WRITE;
    remote_ended_ = error == SSL_ERROR_ZERO_RETURN;
    if (error != SSL_ERROR_NONE)
        return remote_ended_ || read_wants_write_ || error == SSL_ERROR_WANT_READ;
    const BytesView data(room.data(), size);
    const auto rest = data.subspan(write_local(data));
    if (!local_gone_)
        to_local_.assign(rest.begin(), rest.end());
    return true;
}

std::size_t RelayPair::write_local(BytesView data)
{
    const ssize_t n = ::send(local_.fd.get(), data.data(), data.size(), MSG_NOSIGNAL);
    if (n >= 0)
        return static_cast<std::size_t>(n);
    local_gone_ = !later();
    return local_gone_ ? data.size() : 0;
}

void RelayPair::tell_local()
{
    if (!remote_ended_ || told_local_ || !to_local_.empty())
        return;
    shutdown(local_.fd.get(), SHUT_WR);
    told_local_ = true;
}

// --- from the local descriptor to the TLS connection

bool RelayPair::from_local(Room room)
{
    if (remote_gone_)
        return true;
    if (!to_remote_.empty()) {
        std::size_t written = 0;
        if (!write_remote(to_remote_, written))
            return false;
        drop_front(to_remote_, written);
    } else if (!local_ended_) {
        read_local(room);
        if (!to_remote_.empty())
            return from_local(room);
    }
    return tell_remote();
}

void RelayPair::read_local(Room room)
{
    const ssize_t n = ::read(local_.fd.get(), room.data(), room.size());
    if (n > 0)
        to_remote_.assign(room.begin(), room.begin() + n);
    else if (n == 0 || !later())
        local_ended_ = true;
    local_gone_ = local_gone_ || (local_ended_ && n < 0);
}

bool RelayPair::write_remote(BytesView data, std::size_t& written)
{
    ERR_clear_error();
    const int result = SSL_write_ex(ssl_.get(), data.data(), data.size(), &written);
    const int error = SSL_get_error(ssl_.get(), result);
    write_wants_read_ = error == SSL_ERROR_WANT_READ;
    return error == SSL_ERROR_NONE || error == SSL_ERROR_WANT_WRITE || write_wants_read_;
}

bool RelayPair::tell_remote()
{
    if (!local_ended_ || told_remote_ || !to_remote_.empty())
        return true;
    ERR_clear_error();
    const int result = SSL_shutdown(ssl_.get());
    told_remote_ = result >= 0;
    return told_remote_ || SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_WRITE;
}

// --- what to wait for

void RelayPair::watch()
{
    const bool reads_remote = to_local_.empty() && !remote_ended_ && !local_gone_;
    const bool writes_remote = !remote_gone_ && (!to_remote_.empty() || (local_ended_ && !told_remote_));
    const bool in = (reads_remote && !read_wants_write_) || (writes_remote && write_wants_read_);
    const bool out = (writes_remote && !write_wants_read_) || (reads_remote && read_wants_write_);
    watch(remote_, Side::remote, (in ? EPOLLIN : 0U) | (out ? EPOLLOUT : 0U), remote_ended_ && !remote_gone_);
    const bool reads_local = to_remote_.empty() && !local_ended_ && !remote_gone_;
    const bool writes_local = !to_local_.empty();
    watch(local_, Side::local, (reads_local ? EPOLLIN : 0U) | (writes_local ? EPOLLOUT : 0U),
          local_ended_ && !local_gone_);
}

// Hanging up is told unasked, again and again: an end that nothing is wanted of is not watched, unless for that.
void RelayPair::watch(Watched& end, Side side, std::uint32_t events, bool hangups)
{
    const bool wanted = events != 0 || hangups;
    if (wanted == end.watched && events == end.events)
        return;
    epoll_event event{events, {}};
    event.data.u64 = key(number_, side);
    const int operation = !wanted ? EPOLL_CTL_DEL : end.watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(epoll_, operation, end.fd.get(), &event) != 0)
        throw Error(Reason::internal, std::string("cannot watch a descriptor: ") + std::strerror(errno));
    end.watched = wanted;
    end.events = events;
}

} // namespace imprint::tls
