// SPDX-License-Identifier: Apache-2.0
#include "daemon/tls/link.h"

#include "daemon/tls/boundary.h"

#include <openssl/bio.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace imprint::tls {

namespace {

timespec remaining(Deadline deadline)
{
    using std::chrono::nanoseconds;
    const auto left = std::max<nanoseconds>(deadline - std::chrono::steady_clock::now(), nanoseconds::zero());
    const auto whole = std::chrono::floor<std::chrono::seconds>(left);
    return {static_cast<time_t>(whole.count()), static_cast<long>((left - whole).count())};
}

[[noreturn]] void throw_lost(const char* doing)
{
    throw Error(Reason::connection_lost, std::string(doing) + ": " + std::strerror(errno));
}

bool try_again() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

void set_nonblocking(int fd)
{
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        throw Error(Reason::invalid_argument, std::string("not a usable descriptor: ") + std::strerror(errno));
}

// Without SIGPIPE. What is no socket (a serial line) never raises it.
ssize_t send_quietly(int fd, BytesView data)
{
    const ssize_t sent = ::send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    return sent < 0 && errno == ENOTSOCK ? ::write(fd, data.data(), data.size()) : sent;
}

// Whether there is something to read before the time has passed. Throws Error(cancelled).
bool becomes_ready(int fd, Deadline until, const Cancel& cancel)
{
    try {
        wait(fd, POLLIN, until, cancel, "while waiting for the line to fall silent");
        return true;
    } catch (const Error& error) {
        if (error.reason() != Reason::timed_out)
            throw;
        return false;
    }
}

Link& link_of(BIO* bio) { return *static_cast<Link*>(BIO_get_data(bio)); }

int bio_write(BIO* bio, const char* data, std::size_t size, std::size_t* written)
{
    *written = link_of(bio).send(as_bytes({data, size}));
    return 1;
}

int bio_read(BIO* bio, char* into, std::size_t size, std::size_t* filled)
{
    *filled = link_of(bio).receive({reinterpret_cast<std::uint8_t*>(into), size});
    return *filled != 0;
}

long bio_control(BIO* bio, int command, long, void*)
{
    return command == BIO_CTRL_FLUSH || (command == BIO_CTRL_EOF && link_of(bio).ended());
}

// The descriptor itself stands where a Link would.
int fd_of(BIO* bio) { return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio))); }

int loose_write(BIO* bio, const char* data, std::size_t size, std::size_t* written)
{
    BIO_clear_retry_flags(bio);
    const ssize_t n = send_quietly(fd_of(bio), as_bytes({data, size}));
    if (n < 0 && try_again())
        BIO_set_retry_write(bio);
    *written = n < 0 ? 0 : static_cast<std::size_t>(n);
    return n > 0;
}

int loose_read(BIO* bio, char* into, std::size_t size, std::size_t* filled)
{
    BIO_clear_retry_flags(bio);
    const ssize_t n = ::read(fd_of(bio), into, size);
    if (n < 0 && try_again())
        BIO_set_retry_read(bio);
    *filled = n < 0 ? 0 : static_cast<std::size_t>(n);
    return n > 0;
}

long loose_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH; }

using Write = int(BIO*, const char*, std::size_t, std::size_t*);
using Read = int(BIO*, char*, std::size_t, std::size_t*);
using Control = long(BIO*, int, long, void*);

BIO_METHOD* make_method(const char* name, Write* write, Read* read, Control* control)
{
    Owned<BIO_METHOD, BIO_meth_free> method(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, name));
    if (!method || BIO_meth_set_write_ex(method.get(), write) != 1 || BIO_meth_set_read_ex(method.get(), read) != 1 ||
        BIO_meth_set_ctrl(method.get(), control) != 1)
        throw openssl_error(Reason::internal, "cannot describe a transport to OpenSSL");
    return method.release();
}

Owned<BIO, BIO_free_all> make_bio(const BIO_METHOD* method, void* data)
{
    Owned<BIO, BIO_free_all> bio(BIO_new(method));
    if (!bio)
        throw openssl_error(Reason::internal, "cannot make a transport for OpenSSL");
    BIO_set_data(bio.get(), data);
    BIO_set_init(bio.get(), 1);
    return bio;
}

} // namespace

void wait(int fd, short events, Deadline deadline, const Cancel& cancel, const std::string& doing)
{
    for (;;) {
        std::array<pollfd, 2> watched{{{cancel.fd(), POLLIN, 0}, {fd, events, 0}}};
        const timespec left = remaining(deadline);
        const int ready = ppoll(watched.data(), watched.size(), &left, nullptr);
        if (ready < 0 && errno != EINTR)
            throw Error(Reason::internal, std::string("cannot wait: ") + std::strerror(errno));
        if (ready > 0 && watched[0].revents != 0)
            throw Error(Reason::cancelled, doing);
        if (std::chrono::steady_clock::now() >= deadline)
            throw Error(Reason::timed_out, doing);
        if (ready > 0)
            return;
    }
}

void drain(int line, Deadline deadline, const Cancel& cancel)
{
    constexpr auto quiet = std::chrono::milliseconds(600);
    set_nonblocking(line);
    std::array<std::uint8_t, 4096> stale{};
    while (becomes_ready(line, std::min(deadline, std::chrono::steady_clock::now() + quiet), cancel)) {
        const ssize_t n = ::read(line, stale.data(), stale.size());
        if (n == 0 || (n < 0 && !try_again()))
            throw Error(Reason::connection_lost, "the line has hung up");
        if (std::chrono::steady_clock::now() >= deadline)
            throw Error(Reason::timed_out, "the line does not fall silent");
    }
}

Cancel::Cancel()
    : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))
{
    if (!event_)
        throw Error(Reason::internal, std::string("cannot make an event descriptor: ") + std::strerror(errno));
}

// Can fail only if it was called 2^64 - 2 times already.
void Cancel::cancel() noexcept { static_cast<void>(eventfd_write(event_.get(), 1)); }

bool Cancel::cancelled() const noexcept
{
    pollfd event{event_.get(), POLLIN, 0};
    return poll(&event, 1, 0) == 1;
}

int Cancel::fd() const noexcept { return event_.get(); }

Link::Link(Fd fd, const Cancel& cancel)
    : fd_(std::move(fd))
    , cancel_(cancel)
{
    set_nonblocking(fd_.get());
}

std::size_t Link::receive(std::span<std::uint8_t> into)
{
    for (;;) {
        wait(fd_.get(), POLLIN, std::min(deadline_, first_byte_), cancel_, "while waiting for the peer");
        const ssize_t n = ::read(fd_.get(), into.data(), into.size());
        ended_ = n == 0;
        if (n > 0)
            first_byte_ = Deadline::max();
        if (n >= 0)
            return static_cast<std::size_t>(n);
        if (!try_again())
            throw_lost("while receiving");
    }
}

std::size_t Link::send(BytesView data)
{
    for (;;) {
        wait(fd_.get(), POLLOUT, deadline_, cancel_, "while sending");
        const ssize_t n = send_quietly(fd_.get(), data);
        if (n >= 0)
            return static_cast<std::size_t>(n);
        if (!try_again())
            throw_lost("while sending");
    }
}

Owned<BIO, BIO_free_all> Link::bio()
{
    static const Owned<BIO_METHOD, BIO_meth_free> method(
        make_method("imprint link", boundary<bio_write>, boundary<bio_read>, boundary<bio_control>));
    return make_bio(method.get(), this);
}

Owned<BIO, BIO_free_all> nonblocking_bio(int fd)
{
    static const Owned<BIO_METHOD, BIO_meth_free> method(
        make_method("imprint descriptor", boundary<loose_write>, boundary<loose_read>, boundary<loose_control>));
    return make_bio(method.get(), reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)));
}

} // namespace imprint::tls
