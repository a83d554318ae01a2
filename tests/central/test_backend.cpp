// SPDX-License-Identifier: Apache-2.0
#include "tests/central/test_backend.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <system_error>

namespace imprint::test {

namespace {

void require(bool ok, const char* what)
{
    if (!ok)
        throw std::system_error(errno, std::generic_category(), what);
}

void limit(int fd)
{
    const timeval seconds{20, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &seconds, sizeof seconds);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &seconds, sizeof seconds);
}

template <class T>
Fd listen_on(T address)
{
    Fd fd(socket(reinterpret_cast<sockaddr*>(&address)->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    require(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "bind");
    require(listen(fd.get(), 64) == 0, "listen");
    limit(fd.get());
    return fd;
}

} // namespace

Handed::Handed(Fd fd)
    : fd_(std::move(fd))
{
    limit(fd_.get());
}

std::string Handed::read_some()
{
    std::array<char, 65536> buffer{};
    const ssize_t size = ::read(fd_.get(), buffer.data(), buffer.size());
    require(size >= 0, "read");
    return {buffer.data(), static_cast<std::size_t>(size)};
}

std::string Handed::read(std::size_t size)
{
    std::string all(size, '\0');
    for (std::size_t have = 0; have < size;) {
        const ssize_t got = ::read(fd_.get(), all.data() + have, size - have);
        require(got > 0, "read");
        have += static_cast<std::size_t>(got);
    }
    return all;
}

std::string Handed::read_all()
{
    std::string all;
    for (std::string some = read_some(); !some.empty(); some = read_some())
        all += some;
    return all;
}

ProxyHeader Handed::header()
{
    std::string bytes = read(16);
    bytes += read(proxy_header_size(as_bytes(bytes)) - bytes.size());
    return read_proxy_header(as_bytes(bytes));
}

void Handed::write(const std::string& text)
{
    for (std::size_t sent = 0; sent < text.size();) {
        const ssize_t size = send(fd_.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
        require(size > 0, "write");
        sent += static_cast<std::size_t>(size);
    }
}

void Handed::close_half() { shutdown(fd_.get(), SHUT_WR); }

void Handed::reset()
{
    const linger at_once{1, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    fd_ = Fd();
}

TestBackend::TestBackend()
{
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd_ = listen_on(any);
    socklen_t size = sizeof any;
    getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&any), &size);
    address_ = "127.0.0.1:" + std::to_string(ntohs(any.sin_port));
}

TestBackend::TestBackend(const std::filesystem::path& socket)
    : address_("unix:" + socket.string())
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket.c_str(), sizeof address.sun_path - 1);
    fd_ = listen_on(address);
}

Handed TestBackend::accept()
{
    Fd fd(::accept(fd_.get(), nullptr, nullptr));
    require(static_cast<bool>(fd), "accept");
    return Handed(std::move(fd));
}

} // namespace imprint::test
