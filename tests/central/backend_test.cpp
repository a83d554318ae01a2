// SPDX-License-Identifier: Apache-2.0
// What a backend gets, and what becomes of a connection whatever either side does.
#include "tests/central/running_central.h"
#include "tests/central/test_backend.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <fstream>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>

namespace imprint::central {
namespace {

using test::DeviceClient;
using test::Handed;

// Not the same anywhere, so that nothing can be lost, doubled or swapped unnoticed.
std::string pattern(std::size_t size)
{
    std::string text;
    text.reserve(size);
    for (std::size_t i = 0; text.size() < size; ++i)
        text += std::to_string(i) + ",";
    text.resize(size);
    return text;
}

std::size_t resident_kib(pid_t pid)
{
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("VmRSS:"))
            return std::stoul(line.substr(6));
    return 0;
}

class Relay : public testing::Test {
protected:
    void start(const test::Arguments& more = {})
    {
        test::Arguments arguments{"--backend", backend.address()};
        arguments.insert(arguments.end(), more.begin(), more.end());
        central.start(arguments);
    }
    std::unique_ptr<DeviceClient> connect()
    {
        auto client = std::make_unique<DeviceClient>(central.address, device.settings());
        EXPECT_EQ(client->handshake(), "");
        return client;
    }
    // Both ends of a connection, the header read.
    std::pair<std::unique_ptr<DeviceClient>, Handed> pair()
    {
        auto client = connect();
        Handed handed = backend.accept();
        handed.header();
        return {std::move(client), std::move(handed)};
    }

    test::RunningCentral central;
    test::TestBackend backend;
    test::SoftwareModule device{central.pki, "SN-1"};
};

TEST_F(Relay, A22_TheBackendIsToldWhoseConnectionItGets)
{
    start();
    auto client = connect();
    Handed handed = backend.accept();
    const auto header = handed.header();
    sockaddr_in own{};
    socklen_t size = sizeof own;
    getsockname(client->fd(), reinterpret_cast<sockaddr*>(&own), &size);
    EXPECT_EQ(header.family, 0x11);
    EXPECT_EQ(hex(header.addresses).substr(0, 8), hex({reinterpret_cast<const std::uint8_t*>(&own.sin_addr), 4}));
    EXPECT_EQ(hex(header.addresses).substr(16, 4), hex({reinterpret_cast<const std::uint8_t*>(&own.sin_port), 2}));
    EXPECT_EQ(header.client, 0x07);
    EXPECT_EQ(header.verify, 0U);
    EXPECT_EQ(to_string(header.ssl.at(0x21)), "TLSv1.3");
    EXPECT_EQ(to_string(header.ssl.at(0x22)), "SN-1");
    EXPECT_EQ(to_string(header.tlvs.at(0xE0)), device.chip);
    EXPECT_EQ(to_string(header.tlvs.at(0xE1)), "serial");
    EXPECT_EQ(hex(header.tlvs.at(0xE2)), "0000000000000003");
    client->write("ping");
    EXPECT_EQ(handed.read(4), "ping");
    handed.write("pong");
    EXPECT_EQ(to_string(client->read(4)), "pong");
    client.reset();
    EXPECT_TRUE(central.logged(to_string(header.tlvs.at(0x05)))) << "the id stands in the log";
}

TEST_F(Relay, A32_TheBackendIsToldOfAPsk)
{
    const auto key = central.plant_key(device);
    start();
    DeviceClient client(central.address, device.settings(key));
    ASSERT_EQ(client.handshake(), "");
    const auto header = backend.accept().header();
    EXPECT_EQ(header.client, 0x05);
    EXPECT_EQ(to_string(header.ssl.at(0x22)), "SN-1");
}

TEST_F(Relay, TheBackendIsToldWhichProtocolWasAgreedOn)
{
    start({"--alpn", "ssh", "--alpn", "mqtt"});
    for (const auto& [offered, agreed] : {std::pair("mqtt", "mqtt"), std::pair("h2", "")}) {
        auto settings = device.settings();
        settings.alpn = {offered};
        DeviceClient client(central.address, std::move(settings));
        ASSERT_EQ(client.handshake(), "");
        EXPECT_EQ(client.alpn(), agreed);
        const auto header = backend.accept().header();
        const auto told = header.tlvs.find(0x01);
        EXPECT_EQ(told == header.tlvs.end() ? "" : to_string(told->second), agreed);
    }
}

TEST_F(Relay, AUnixSocketServesAsWell)
{
    test::TestBackend local(central.directory / "backend");
    central.start({"--backend", local.address()});
    auto client = connect();
    Handed handed = local.accept();
    EXPECT_EQ(to_string(handed.header().ssl.at(0x22)), "SN-1");
    handed.write("hello");
    handed.close_half();
    EXPECT_EQ(client->read_all(), "hello");
}

TEST_F(Relay, TheDeviceMayEndItsHalfAndGoOnReading)
{
    start();
    auto [client, handed] = pair();
    const std::string question = pattern(1 << 20), answer = pattern(3 << 20);
    std::thread writer([&client = client, &question] {
        client->write(question);
        client->close_half();
    });
    EXPECT_EQ(handed.read_all(), question);
    writer.join();
    std::thread answering([&handed = handed, &answer] {
        handed.write(answer);
        handed.close_half();
    });
    EXPECT_EQ(client->read_all(), answer);
    answering.join();
}

TEST_F(Relay, TheBackendMayEndItsHalfAndGoOnReading)
{
    start();
    auto [client, handed] = pair();
    handed.write("bye");
    handed.close_half();
    EXPECT_EQ(client->read_all(), "bye");
    const std::string rest = pattern(1 << 20);
    std::thread writer([&client = client, &rest] {
        // SSL_write() works on after the peer's close_notify.
        client->write(rest);
        client->close_half();
    });
    EXPECT_EQ(handed.read_all(), rest);
    writer.join();
}

TEST_F(Relay, Attack28_WhatTheBackendDoesNotTakeIsNotRead)
{
    start();
    auto [client, handed] = pair();
    const std::string all = pattern(48 << 20);
    std::thread writer([&client = client, &all] {
        client->write(all);
        client->close_half();
    });
    // Nothing moves any more once the sockets' buffers are full; the rest is the device's to keep.
    const auto before = resident_kib(central.pid());
    EXPECT_EQ(handed.read_all(), all);
    writer.join();
    EXPECT_LT(resident_kib(central.pid()), before + 8192);
}

TEST_F(Relay, Attack28_AFloodOfTheBackendWaitsForTheDevice)
{
    start();
    auto [client, handed] = pair();
    const std::string all = pattern(48 << 20);
    std::thread writer([&handed = handed, &all] {
        handed.write(all);
        handed.close_half();
    });
    auto other = connect();
    Handed handed_too = backend.accept();
    handed_too.header();
    other->write("still there?");
    EXPECT_EQ(handed_too.read(12), "still there?") << "others do not wait";
    const auto before = resident_kib(central.pid());
    EXPECT_EQ(client->read_all(), all);
    writer.join();
    EXPECT_LT(resident_kib(central.pid()), before + 8192);
}

TEST_F(Relay, ABackendThatDiesDoesNotLookLikeAnEnd)
{
    start();
    auto [client, handed] = pair();
    handed.write("half of the");
    EXPECT_EQ(to_string(client->read(11)), "half of the");
    handed.reset();
    EXPECT_ANY_THROW(client->read_some());
}

TEST_F(Relay, ADeviceThatIsCutOffDoesNotLookLikeAnEnd)
{
    start();
    auto [client, handed] = pair();
    client->write("half of the");
    EXPECT_EQ(handed.read(11), "half of the");
    client->drop();
    EXPECT_ANY_THROW(handed.read_some());
}

TEST_F(Relay, ABackendThatIsDownEndsTheConnectionInTheProperWay)
{
    auto gone = std::make_unique<test::TestBackend>();
    const std::string address = gone->address();
    gone.reset();
    central.start({"--backend", address});
    auto client = connect();
    EXPECT_EQ(client->read_all(), "");
    EXPECT_TRUE(central.logged("the backend cannot be reached"));
    EXPECT_TRUE(central.logged("backend=" + address));
}

TEST_F(Relay, Attack28_WhereNothingMovesTheConnectionEnds)
{
    start({"--idle-timeout", "1"});
    auto [client, handed] = pair();
    EXPECT_ANY_THROW(client->read_some());
    EXPECT_ANY_THROW(handed.read_some());
    EXPECT_TRUE(central.logged("nothing moved in time"));
}

TEST_F(Relay, AStopEndsWhatIsGoingOn)
{
    start();
    auto [client, handed] = pair();
    EXPECT_EQ(central.stop(), 0);
    EXPECT_ANY_THROW(client->read_some());
}

} // namespace
} // namespace imprint::central
