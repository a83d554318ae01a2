// SPDX-License-Identifier: Apache-2.0
// Clients that hold their places without a word.
#include "provisioning/protocol/key_messages.h"
#include "tests/central/running_central.h"

#include <gtest/gtest.h>

#include <sys/socket.h>

namespace imprint::central {
namespace {

using test::DeviceClient;

class Attack28 : public testing::Test {
protected:
    test::RunningCentral central;
    test::SoftwareModule device{central.pki, "SN-1"};
};

TEST_F(Attack28, FiveThousandSilentClientsKeepNobodyOut)
{
    central.start({"--max-connections", "1024", "--handshake-timeout", "600"});
    const std::string beginning("\x16\x03\x01\x02\x00\x01", 6); // of a ClientHello that never comes
    std::vector<Fd> silent;
    for (int i = 0; i < 5000; ++i) {
        silent.push_back(test::connect_to(central.address));
        if (i % 2 == 0)
            send(silent.back().get(), beginning.data(), beginning.size(), MSG_NOSIGNAL);
    }
    for (int i = 0; i < 20; ++i)
        EXPECT_EQ(test::refusal_of(central.address, device.settings()), "") << i;
    EXPECT_EQ(central.stop(), 0);
}

TEST_F(Attack28, AClientThatStallsInTheHandshakeIsSentAway)
{
    central.start({"--handshake-timeout", "1"});
    const Fd silent = test::connect_to(central.address);
    char byte = 0;
    EXPECT_EQ(recv(silent.get(), &byte, 1, 0), 0);
    EXPECT_TRUE(central.logged("reason=timed-out"));
}

TEST_F(Attack28, ARequestThatNeverEndsIsGivenUp)
{
    central.start({"--message-timeout", "1"});
    DeviceClient http(central.address, device.settings());
    ASSERT_EQ(http.handshake(), "");
    http.write("GET / HT");
    EXPECT_ANY_THROW(http.read_all());
    auto settings = device.settings();
    settings.alpn = {"imprint-key/1"};
    DeviceClient key(central.address, std::move(settings));
    ASSERT_EQ(key.handshake(), "");
    key.write(Bytes{0, 0});
    EXPECT_ANY_THROW(key.read(1));
}

TEST_F(Attack28, WhatIsTooLargeIsRefusedUnread)
{
    central.start();
    auto settings = device.settings();
    settings.alpn = {"imprint-key/1"};
    DeviceClient key(central.address, std::move(settings));
    ASSERT_EQ(key.handshake(), "");
    key.write(Bytes{0x7F, 0xFF, 0xFF, 0xFF});
    const auto answer = protocol::parse_key_message(key.receive()).or_throw();
    EXPECT_EQ(answer.refused().reason(), static_cast<std::uint32_t>(Reason::message_too_large));

    DeviceClient http(central.address, device.settings());
    ASSERT_EQ(http.handshake(), "");
    http.write("GET / HTTP/1.1\r\nX: " + std::string(9000, 'x') + "\r\n\r\n");
    EXPECT_EQ(http.read_all().substr(0, 12), "HTTP/1.1 400");
}

} // namespace
} // namespace imprint::central
