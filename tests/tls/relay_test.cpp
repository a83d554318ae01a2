// SPDX-License-Identifier: Apache-2.0
// The relay between TLS connections and local programs.
#include "daemon/tls/relay.h"
#include "tests/tls/streams.h"

#include <fcntl.h>
#include <future>
#include <numeric>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace imprint::test {
namespace {

// The program's end of a channel.
class Program {
public:
    explicit Program(Fd fd)
        : fd_(std::move(fd))
    {
    }
    void write(BytesView data) const
    {
        while (!data.empty()) {
            const ssize_t n = ::send(fd_.get(), data.data(), data.size(), MSG_NOSIGNAL);
            ASSERT_GT(n, 0) << strerror(errno);
            data = data.subspan(static_cast<std::size_t>(n));
        }
    }
    Bytes read(std::size_t size) const
    {
        Bytes data(size);
        std::size_t filled = 0;
        for (ssize_t n = 1; filled < size && n > 0; filled += static_cast<std::size_t>(std::max<ssize_t>(n, 0)))
            n = ::recv(fd_.get(), data.data() + filled, size - filled, 0);
        data.resize(filled);
        return data;
    }
    // Nothing more comes.
    bool ended() const
    {
        std::uint8_t byte = 0;
        return ::recv(fd_.get(), &byte, 1, 0) <= 0;
    }
    void end_sending() const { shutdown(fd_.get(), SHUT_WR); }
    void close() { fd_ = Fd(); }
    int fd() const { return fd_.get(); }

private:
    Fd fd_;
};

class Relays : public Streams {
protected:
    // Joins a new program to a server.
    Program join(Server& server)
    {
        auto [outer, inner] = socket_pair();
        relay.add(tls::Stream(server.client(), settings(), in(ample), cancel).release(), std::move(inner));
        return Program(std::move(outer));
    }
    void expect_count(std::size_t pairs)
    {
        std::unique_lock lock(mutex);
        EXPECT_TRUE(changed.wait_for(lock, ample, [&] { return counted == pairs; })) << counted;
    }

    std::mutex mutex;
    std::condition_variable changed;
    std::size_t counted = 0;
    tls::Relay relay{[this](std::size_t pairs) {
        const std::lock_guard lock(mutex);
        counted = pairs;
        changed.notify_all();
    }};
};

// Reads to the end and sends it all back, after the client has ended its half.
void echo_afterwards(SSL* ssl)
{
    Bytes all;
    std::array<std::uint8_t, 5000> piece{};
    std::size_t n = 0;
    while (SSL_read_ex(ssl, piece.data(), piece.size(), &n) == 1)
        all.insert(all.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(n));
    EXPECT_EQ(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN);
    EXPECT_TRUE(write_all(ssl, all));
    SSL_shutdown(ssl);
}

Bytes pattern(std::size_t size)
{
    Bytes data(size);
    std::iota(data.begin(), data.end(), std::uint8_t{0});
    return data;
}

TEST_F(Relays, CarryBothWays)
{
    Server server({pki().station_tls}, echo(10, 3));
    const auto program = join(server);
    for (int i = 0; i < 3; ++i) {
        program.write(pattern(10));
        EXPECT_EQ(program.read(10), pattern(10));
    }
}

TEST_F(Relays, AHalfThatEndsLeavesTheOtherOpen)
{
    constexpr std::size_t size = 1 << 20;
    Server server({pki().station_tls}, echo_afterwards);
    const auto program = join(server);
    program.write(pattern(size));
    program.end_sending();
    EXPECT_EQ(program.read(size), pattern(size));
    EXPECT_TRUE(program.ended());
    expect_count(0); // both halves have ended
}

TEST_F(Relays, AServerThatEndsItsHalfIsStillWrittenTo)
{
    Bytes got(100000);
    Server server({pki().station_tls}, [&](SSL* ssl) {
        EXPECT_TRUE(write_all(ssl, Bytes{7}));
        SSL_shutdown(ssl);
        EXPECT_TRUE(read_exactly(ssl, got));
    });
    const auto program = join(server);
    EXPECT_EQ(program.read(2), Bytes{7});
    program.write(pattern(got.size()));
    program.end_sending();
    EXPECT_TRUE(server.report().handshake);
    EXPECT_EQ(got, pattern(got.size()));
    expect_count(0);
}

TEST_F(Relays, A32_AProgramThatClosesClosesTheConnection)
{
    int end = 0;
    Server server({pki().station_tls}, [&end](SSL* ssl) {
        Bytes data(50000);
        EXPECT_TRUE(read_exactly(ssl, data)); // what it sent before is not lost
        end = SSL_get_error(ssl, SSL_read(ssl, data.data(), 1));
    });
    auto program = join(server);
    program.write(Bytes(50000, 1));
    program.close();
    expect_count(0);
    server.report();
    EXPECT_EQ(end, SSL_ERROR_ZERO_RETURN);
}

TEST_F(Relays, AProgramThatEndedAndThenClosesIsNoticed)
{
    std::promise<void> closed;
    Server server({pki().station_tls}, [&](SSL* ssl) {
        until_closed(ssl);
        closed.get_future().wait(); // sends nothing, and stays
    });
    auto program = join(server);
    program.end_sending();
    expect_count(1);
    program.close();
    expect_count(0);
    closed.set_value();
}

TEST_F(Relays, AServerThatIsCutOffClosesTheProgramsEnd)
{
    Server server({pki().station_tls}, [](SSL* ssl) {
        write_all(ssl, Bytes{7});
        shutdown(SSL_get_fd(ssl), SHUT_RDWR); // without a close_notify
    });
    const auto program = join(server);
    EXPECT_EQ(program.read(1), Bytes{7});
    EXPECT_TRUE(program.ended());
    expect_count(0);
}

// One record that waits in either direction, and what the kernel holds: no more is taken in.
TEST_F(Relays, Attack28_WhoDoesNotReadStopsTheOtherEnd)
{
    std::promise<void> read_on;
    constexpr std::size_t much = 64 << 20;
    std::atomic<std::size_t> got = 0;
    Server server({pki().station_tls}, [&](SSL* ssl) {
        read_on.get_future().wait();
        std::array<std::uint8_t, 16384> piece{};
        for (std::size_t n = 0; SSL_read_ex(ssl, piece.data(), piece.size(), &n) == 1;)
            got += n;
    });
    auto program = join(server);
    fcntl(program.fd(), F_SETFL, O_NONBLOCK);
    const Bytes piece(65536, 1);
    std::size_t taken = 0;
    pollfd writable{program.fd(), POLLOUT, 0};
    while (taken < much && poll(&writable, 1, 300) == 1)
        if (const ssize_t n = send(program.fd(), piece.data(), piece.size(), MSG_NOSIGNAL); n > 0)
            taken += static_cast<std::size_t>(n);
    EXPECT_LT(taken, 4U << 20);
    // Meanwhile the others get their turn.
    Server other({pki().station_tls}, echo(1));
    const auto neighbour = join(other);
    neighbour.write(Bytes{1});
    EXPECT_EQ(neighbour.read(1), Bytes{1});
    read_on.set_value();
    program.close();
    server.report();
    EXPECT_EQ(got, taken);
}

TEST_F(Relays, EndAllAtOnce)
{
    std::vector<std::unique_ptr<Server>> servers;
    std::vector<Program> programs;
    for (int i = 0; i < 20; ++i) {
        servers.push_back(std::make_unique<Server>(ServerSettings{pki().station_tls}, until_closed));
        programs.push_back(join(*servers.back()));
    }
    EXPECT_EQ(relay.size(), 20U);
    relay.end_all();
    EXPECT_EQ(relay.size(), 0U);
    for (const auto& program : programs)
        EXPECT_TRUE(program.ended());
    Server server({pki().station_tls}, echo(1));
    const auto later = join(server);
    later.write(Bytes{1});
    EXPECT_EQ(later.read(1), Bytes{1});
}

TEST_F(Relays, ADescriptorThatIsOfNoUseEndsTheConnection)
{
    Server server({pki().station_tls}, until_closed);
    relay.add(tls::Stream(server.client(), settings(), in(ample), cancel).release(), Fd());
    EXPECT_TRUE(server.report().handshake);
    relay.end_all();
    EXPECT_EQ(relay.size(), 0U);
}

} // namespace
} // namespace imprint::test
