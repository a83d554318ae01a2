// SPDX-License-Identifier: Apache-2.0
// How much of the archive one client may have, and all of them: requests, connections, time.
#include "backup/archive/rate_limit.h"
#include "provisioning/server/listener.h"
#include "tests/archive/running_archive.h"

#include <gtest/gtest.h>

#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <iostream>

namespace imprint::archive {
namespace {

using namespace std::chrono_literals;
using test::SoftwareDevice;
using Clock = std::chrono::steady_clock;
constexpr auto path_of = [](const auto&... parts) { return test::RunningArchive::path_of(parts...); };

class Limited : public testing::Test {
protected:
    // How many of these many requests are answered.
    unsigned answered(std::string_view client, unsigned requests)
    {
        unsigned count = 0;
        for (unsigned i = 0; i < requests; ++i)
            count += limit.refuse(client, time) ? 0 : 1;
        return count;
    }

    RateLimit limit{{10, 100}};
    RateLimit::Time time{1h};
};

TEST_F(Limited, Attack28_AClientGetsItsRateAndTheOthersTheirs)
{
    EXPECT_EQ(answered("a", 1000), 50U); // five seconds' worth
    EXPECT_EQ(limit.refuse("a", time), 1s);
    EXPECT_EQ(answered("b", 40), 40U);
    time += 1s;
    EXPECT_EQ(answered("a", 1000), 10U);
    time += 1h;
    EXPECT_EQ(answered("a", 1000), 50U); // and no more, however quiet it was
}

TEST_F(Limited, Attack28_AllTogetherGetTheirRate)
{
    unsigned count = 0;
    for (int client = 0; client < 1000; ++client)
        count += answered(std::to_string(client), 1);
    EXPECT_EQ(count, 500U);
    EXPECT_EQ(answered("", 1), 0U);
    time += 2s;
    EXPECT_EQ(answered("", 1000), 200U); // a proxy of one's own: limited with all only
}

TEST_F(Limited, Attack28_AFloodOfAddressesPushesNobodyOut)
{
    RateLimit many({10, 0});
    for (int i = 0; i < 50; ++i)
        EXPECT_FALSE(many.refuse("busy", time));
    for (int i = 0; i < 200'000; ++i)
        many.refuse(std::to_string(i), time);
    EXPECT_TRUE(many.refuse("busy", time));
}

TEST_F(Limited, NothingIsLimitedAtRateZero)
{
    RateLimit any({0, 0});
    for (int i = 0; i < 100'000; ++i)
        ASSERT_FALSE(any.refuse("a", time));
}

TEST(Client, Attack28_IsAnIpv4AddressOrAnIpv6NetworkOf64Bits)
{
    const auto client = [](const char* text) { return server::client_of(boost::asio::ip::make_address(text)); };
    EXPECT_EQ(client("192.0.2.1"), client("::ffff:192.0.2.1"));
    EXPECT_NE(client("192.0.2.1"), client("192.0.2.2"));
    EXPECT_EQ(client("2001:db8:1:2::1"), client("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    EXPECT_NE(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
    EXPECT_NE(client("::1"), client("0.0.0.0"));
}

// From one of the loopback network's addresses, which are as many clients.
Fd connect_from(std::uint32_t source, const std::string& address, int flags = 0)
{
    Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
    const auto at = [](std::uint32_t host, std::uint16_t port) {
        sockaddr_in socket_address{};
        socket_address.sin_family = AF_INET;
        socket_address.sin_addr.s_addr = htonl(host);
        socket_address.sin_port = htons(port);
        return socket_address;
    };
    const auto from = at(source, 0);
    const auto to = at(INADDR_LOOPBACK, static_cast<std::uint16_t>(std::stoul(address.substr(address.find(':') + 1))));
    const timeval patience{30, 0}; // nobody waits for ever
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (!fd || bind(fd.get(), reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0 ||
        (connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS))
        throw_errno("cannot connect to " + address);
    return fd;
}

std::uint32_t loopback(int network, int host) { return 0x7f000000U + (network << 16U) + static_cast<unsigned>(host); }

std::string converse(const Fd& fd, std::string_view request)
{
    EXPECT_EQ(write(fd.get(), request.data(), request.size()), static_cast<ssize_t>(request.size()));
    std::string answer;
    std::array<char, 16384> buffer{};
    for (ssize_t n = 0; (n = read(fd.get(), buffer.data(), buffer.size())) > 0;)
        answer.append(buffer.data(), static_cast<std::size_t>(n));
    return answer;
}

std::string get_request(const std::string& path) { return "GET " + path + " HTTP/1.1\r\nConnection: close\r\n\r\n"; }

// Connections that send half a request and then nothing.
class SlowClients {
public:
    SlowClients(std::string address, int clients)
        : address_(std::move(address))
        , clients_(clients)
    {
    }

    void open(int count)
    {
        for (int i = 0; i < count; ++i)
            open(loopback(2, 1 + next_++ % clients_));
    }
    void open(std::uint32_t source)
    {
        connections_.push_back(connect_from(source, address_, SOCK_NONBLOCK));
        unsent_.push_back(connections_.back().get());
        send_heads();
    }

    // Closes what was dropped; how many are left.
    std::size_t left()
    {
        send_heads();
        std::vector<pollfd> polled;
        for (const auto& fd : connections_)
            polled.push_back({fd.get(), POLLIN, 0});
        poll(polled.data(), polled.size(), 0);
        std::size_t at = 0;
        std::erase_if(connections_, [&](const Fd&) { return polled[at++].revents != 0; });
        return connections_.size();
    }
    // Whether all were dropped within the limit.
    bool dropped(std::chrono::seconds limit)
    {
        const auto end = Clock::now() + limit;
        while (left() != 0) {
            if (Clock::now() > end)
                return false;
            pollfd one{connections_.front().get(), POLLIN, 0};
            poll(&one, 1, 1000);
        }
        return true;
    }
    void reopen(std::size_t at_least)
    {
        if (const auto now = left(); now < at_least)
            open(static_cast<int>(at_least - now));
    }

private:
    // Some have to wait in the queue until they are connected.
    void send_heads()
    {
        constexpr std::string_view half = "GET /v1/records/";
        std::erase_if(unsent_, [&](int fd) { return write(fd, half.data(), half.size()) > 0 || errno != EAGAIN; });
    }

    std::string address_;
    int clients_, next_ = 0;
    std::vector<Fd> connections_;
    std::vector<int> unsent_;
};

class Crowded : public testing::Test {
protected:
    // Milliseconds of each request, from twenty clients.
    std::vector<double> honest(int requests, const std::function<void()>& between)
    {
        std::vector<double> times;
        for (int i = 0; i < requests; ++i) {
            between();
            const auto start = Clock::now();
            const auto answer =
                converse(connect_from(loopback(1, 1 + i % 20), archive.http), get_request(path_of(device.chip)));
            times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
            if (!answer.starts_with("HTTP/1.1 200"))
                ADD_FAILURE() << "request " << i << ": " << answer.substr(0, 200);
        }
        std::ranges::sort(times);
        return times;
    }
    std::size_t peak_memory() const // KiB
    {
        std::ifstream status("/proc/" + std::to_string(archive.pid()) + "/status");
        for (std::string line; std::getline(status, line);)
            if (line.starts_with("VmHWM:"))
                return std::stoul(line.substr(6));
        return 0;
    }

    test::RunningArchive archive;
    SoftwareDevice device{archive.pki, "SN-1"};
};

TEST_F(Crowded, Attack28_AClientThatAsksTooOftenIsToldWhenToComeBack)
{
    archive.start({"--rate-per-client", "1"});
    test::Response answer;
    for (int i = 0; i < 200 && answer.status != 429; ++i)
        answer = archive.get("/healthz");
    ASSERT_EQ(answer.status, 429U);
    EXPECT_EQ(answer.reason(), "rate-limited");
    EXPECT_EQ(answer.headers.at("retry-after"), "1");
    EXPECT_EQ(archive.get("/healthz", {"--interface", "127.0.0.2"}).status, 200U);
    for (std::uint64_t sequence = 1; sequence < 20; sequence += 2) // no station ever is
        EXPECT_EQ(archive.put(device, sequence, device.record(sequence)).status, 201U);
}

TEST_F(Crowded, Attack28_OneClientHasSomeOfTheConnectionsAlone)
{
    archive.start({"--max-connections-per-client", "3", "--deadline", "60"});
    SlowClients greedy(archive.http, 1);
    for (int i = 0; i < 10; ++i)
        greedy.open(loopback(3, 1));
    EXPECT_EQ(archive.get("/healthz").status, 200U); // all of the above were accepted before
    EXPECT_EQ(greedy.left(), 3U);
}

TEST_F(Crowded, Attack28_ThousandsOfSlowClientsKeepNobodyOut)
{
    constexpr int wanted = 5000, chunk = 1000, spare = 200, requests = 300;
    rlimit files{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = std::min<rlim_t>(files.rlim_max, wanted + spare);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
    const int slow = static_cast<int>(files.rlim_cur) - spare;
    archive.start({"--deadline", "10"});
    ASSERT_EQ(archive.put(device, 3, device.record(3)).status, 201U);

    const auto alone = honest(requests, [] {});
    const auto before = peak_memory();
    SlowClients crowd(archive.http, 250);
    for (int opened = 0; opened < slow; opened += chunk) {
        crowd.open(std::min(chunk, slow - opened));
        honest(1, [] {}); // behind all of these in the queue, which has no room for thousands
    }
    // Whoever was dropped comes again, so that there is no room for anybody at any time.
    const auto crowded = honest(requests, [&] { crowd.reopen(512); });
    const auto after = peak_memory();
    const auto p99 = [](const auto& times) { return times[times.size() * 99 / 100]; };
    std::cout << slow << " slow clients: a request takes " << crowded[requests / 2] << " ms, p99 " << p99(crowded)
              << " ms; without them " << alone[requests / 2] << " ms, p99 " << p99(alone) << " ms; " << after - before
              << " KiB more memory" << std::endl;
    EXPECT_LT(after - before, 256U * 1024U);
    EXPECT_TRUE(crowd.dropped(60s));
}

} // namespace
} // namespace imprint::archive
