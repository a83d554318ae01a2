// SPDX-License-Identifier: Apache-2.0
// Addresses, and getting through to them.
#include "daemon/tls/address.h"
#include "tests/support/process.h"
#include "tests/tls/deadlines.h"
#include "tests/tls/signers.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <future>

namespace imprint::test {
namespace {

// A listening TCP socket on 127.0.0.1 and its port.
struct Listener {
    explicit Listener(int backlog = 8)
        : fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))
    {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* generic = reinterpret_cast<sockaddr*>(&address);
        if (bind(fd.get(), generic, size) != 0 || listen(fd.get(), backlog) != 0 ||
            getsockname(fd.get(), generic, &size) != 0)
            throw std::runtime_error("cannot listen");
        port = ntohs(address.sin_port);
    }
    std::string at(const std::string& host) const { return host + ":" + std::to_string(port); }
    Fd fd;
    std::uint16_t port = 0;
};

Fd listen_unix(const std::filesystem::path& path, int backlog)
{
    Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::ranges::copy(path.string(), address.sun_path);
    if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(fd.get(), backlog) != 0)
        throw std::runtime_error("cannot listen");
    return fd;
}

class Connecting : public testing::Test {
protected:
    Fd connect(const std::string& address, std::chrono::milliseconds time = ample)
    {
        return tls::connect(address, 7443, in(time), cancel);
    }
    std::optional<Reason> refusal(const std::string& address, std::chrono::milliseconds time = ample)
    {
        return reason_of([&] { connect(address, time); });
    }
    tls::Cancel cancel;
};

TEST(Addresses, AreReadAsOperatorsWriteThem)
{
    struct Case {
        const char *text, *host;
        std::uint16_t port;
        const char* path;
    };
    for (const auto& [text, host, port, path] : {Case{"station.example", "station.example", 7443, ""},
                                                 {"station.example:1", "station.example", 1, ""},
                                                 {"10.0.0.1:65535", "10.0.0.1", 65535, ""},
                                                 {"[2001:db8::1]", "2001:db8::1", 7443, ""},
                                                 {"[2001:db8::1]:443", "2001:db8::1", 443, ""},
                                                 {"[fe80::1%eth0]:443", "fe80::1%eth0", 443, ""},
                                                 {"unix:/run/station", "", 0, "/run/station"}}) {
        const auto address = tls::parse_address(text, 7443);
        EXPECT_EQ(address.host, host) << text;
        EXPECT_EQ(address.port, port) << text;
        EXPECT_EQ(address.path, path) << text;
    }
}

TEST(Addresses, NothingElseIsRead)
{
    for (const auto* text :
         {"",        ":",        ":443",          "host:",      "host:0",    "host:65536", "host:-1",
          "host:+1", "host: 1",  "host:1x",       "host:1:2",   "::1",       "[::1",       "[]",
          "[]:1",    "[host]:1", "[::1]1",        "[::1]:",     "host name", "ho\nst",     "https://host",
          "[[::1]]", "unix:",    "unix:relative", "host/path:1"})
        EXPECT_EQ(reason_of([&] { tls::parse_address(text, 7443); }), Reason::invalid_argument) << text;
    EXPECT_EQ(reason_of([] { tls::parse_address(std::string(254, 'a'), 1); }), Reason::invalid_argument);
    EXPECT_EQ(reason_of([] { tls::parse_address(std::string("unix:/a\0b", 9), 1); }), Reason::invalid_argument);
}

TEST(Addresses, NameWhatTheCertificateHasToName)
{
    EXPECT_EQ(tls::host_of("station.example:1"), "station.example");
    EXPECT_EQ(tls::host_of("[::1]:1"), "::1");
    EXPECT_EQ(tls::host_of("[fe80::1%eth0]"), "fe80::1");
    EXPECT_EQ(tls::host_of("unix:/run/station"), "");
}

TEST_F(Connecting, ReachesNumbersAndNames)
{
    const Listener listener;
    for (const auto* host : {"127.0.0.1", "localhost"}) { // localhost may be ::1 first, where nobody listens
        EXPECT_TRUE(connect(listener.at(host))) << host;
        EXPECT_GE(Fd(accept(listener.fd.get(), nullptr, nullptr)).get(), 0);
    }
}

TEST_F(Connecting, ReachesUnixSockets)
{
    const TemporaryDirectory directory;
    const auto path = directory / "socket";
    const Fd listener = listen_unix(path, 1);
    EXPECT_TRUE(connect("unix:" + path.string()));
}

TEST_F(Connecting, IsRefusedWhereNobodyListens)
{
    std::string nobody;
    {
        const Listener listener;
        nobody = std::to_string(listener.port);
    }
    EXPECT_EQ(refusal("127.0.0.1:" + nobody), Reason::connection_refused);
    EXPECT_EQ(refusal("localhost:" + nobody), Reason::connection_refused);
    EXPECT_EQ(refusal("unix:/nonexistent/socket"), Reason::connection_refused);
    EXPECT_EQ(refusal("unix:/" + std::string(200, 'a')), Reason::invalid_argument);
    EXPECT_EQ(refusal("not an address"), Reason::invalid_argument);
}

// The first refuses, the second never answers.
TEST_F(Connecting, TriesEveryAddress)
{
    const Listener silent(0), good;
    const Fd first = connect(silent.at("127.0.0.1"));
    std::uint16_t nobody = 0;
    {
        const Listener closed;
        nobody = closed.port;
    }
    tls::Endpoints endpoints;
    for (const std::uint16_t port : {nobody, silent.port, good.port})
        endpoints.push_back(tls::look_up({"127.0.0.1", port, {}}).at(0));
    EXPECT_TRUE(tls::connect_to_any(endpoints, "three", in(1s), cancel));
    endpoints.pop_back();
    EXPECT_EQ(reason_of([&] { tls::connect_to_any(endpoints, "two", in(brief), cancel); }), Reason::timed_out);
    EXPECT_EQ(reason_of([&] { tls::connect_to_any({}, "none", in(brief), cancel); }), Reason::connection_refused);
}

// A full backlog answers nobody: the connection hangs.
TEST_F(Connecting, AHostThatDoesNotAnswerIsTimedOut)
{
    const Listener listener(0);
    const Fd first = connect(listener.at("127.0.0.1"));
    EXPECT_EQ(refusal(listener.at("127.0.0.1"), brief), Reason::timed_out);
    cancel.cancel();
    EXPECT_EQ(refusal(listener.at("127.0.0.1")), Reason::cancelled);
}

TEST_F(Connecting, AUnixSocketThatIsNotServedIsTimedOut)
{
    const TemporaryDirectory directory;
    const auto path = directory / "socket";
    const Fd listener = listen_unix(path, 0);
    const Fd first = connect("unix:" + path.string());
    EXPECT_EQ(refusal("unix:" + path.string(), brief), Reason::timed_out);
    cancel.cancel();
    EXPECT_EQ(refusal("unix:" + path.string()), Reason::cancelled);
}

// --- a resolver that hangs holds nobody

TEST_F(Connecting, AResolverThatHangsIsTimedOut)
{
    auto released = std::make_shared<std::promise<void>>();
    const auto hang = [end = released->get_future().share()](const tls::Address&) {
        end.wait();
        return tls::Endpoints();
    };
    const tls::Address address{"station.example", 1, {}};
    EXPECT_EQ(reason_of([&] { tls::resolve(address, in(brief), cancel, hang); }), Reason::timed_out);
    cancel.cancel();
    EXPECT_EQ(reason_of([&] { tls::resolve(address, in(ample), cancel, hang); }), Reason::cancelled);
    released->set_value();
}

TEST_F(Connecting, WhatTheResolverSaysComesBack)
{
    const tls::Address address{"station.example", 1, {}};
    const auto unknown = [](const tls::Address&) -> tls::Endpoints {
        throw Error(Reason::connection_refused, "no such host");
    };
    EXPECT_EQ(reason_of([&] { tls::resolve(address, in(ample), cancel, unknown); }), Reason::connection_refused);
    const auto two = [](const tls::Address&) { return tls::Endpoints(2); };
    EXPECT_EQ(tls::resolve(address, in(ample), cancel, two).size(), 2u);
}

TEST_F(Connecting, NumbersNeedNoResolver)
{
    const auto never = [](const tls::Address&) -> tls::Endpoints { throw std::logic_error("asked"); };
    for (const auto* host : {"127.0.0.1", "::1"})
        EXPECT_EQ(tls::resolve({host, 1, {}}, in(ample), cancel, never).size(), 1u) << host;
}

} // namespace
} // namespace imprint::test
