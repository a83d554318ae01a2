// SPDX-License-Identifier: Apache-2.0
// The bytes in front of a connection that is handed over.
#include "provisioning/central/proxy_header.h"
#include "tests/central/proxy_reader.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cstring>

namespace imprint::central {
namespace {

Peer peer(Means means = Means::certificate)
{
    return {{"serial", "SN-1"}, std::string(64, 'a'), 0x0102030405060708, means};
}

template <class T>
sockaddr_storage stored(const T& address)
{
    sockaddr_storage out{};
    std::memcpy(&out, &address, sizeof address);
    return out;
}

sockaddr_storage v4(const char* text, std::uint16_t port)
{
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    inet_pton(AF_INET, text, &address.sin_addr);
    return stored(address);
}

sockaddr_storage v6(const char* text, std::uint16_t port)
{
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    inet_pton(AF_INET6, text, &address.sin6_addr);
    return stored(address);
}

TEST(ProxyHeader, A22_EveryByteOfAnExample)
{
    const Bytes header = proxy_header({v4("192.0.2.1", 0x1234), v4("198.51.100.2", 7444)}, peer(), "", "u");
    const std::string expected = "0d0a0d0a000d0a515549540a" // signature
                                 "21"
                                 "11"
                                 "0080" // version and command, TCP over IPv4, length
                                 "c0000201"
                                 "c6336402"
                                 "1234"
                                 "1d14" // addresses and ports
                                 "05"
                                 "0001"
                                 "75" // unique id
                                 "20"
                                 "0016"
                                 "07"
                                 "00000000" // TLS: client certificate, verified
                                 "21"
                                 "0007"
                                 "544c5376312e33" // TLSv1.3
                                 "22"
                                 "0004"
                                 "534e2d31" // SN-1
                                 "e0"
                                 "0040" +
        hex(Bytes(64, 'a')) + //
        "e1"
        "0006"
        "73657269616c" // serial
        "e2"
        "0008"
        "0102030405060708";
    EXPECT_EQ(hex(header), expected);
}

TEST(ProxyHeader, AddressesOfEveryFamily)
{
    const auto header = [](const sockaddr_storage& source, const sockaddr_storage& destination) {
        return test::read_proxy_header(proxy_header({source, destination}, peer(), "", "u"));
    };
    const auto six = header(v6("2001:db8::1", 1), v6("2001:db8::2", 2));
    EXPECT_EQ(six.family, 0x21);
    EXPECT_EQ(hex(six.addresses),
              "20010db8000000000000000000000001"
              "20010db8000000000000000000000002"
              "00010002");
    const auto mapped = header(v6("::ffff:192.0.2.1", 1), v6("::ffff:192.0.2.2", 2));
    EXPECT_EQ(mapped.family, 0x11);
    EXPECT_EQ(hex(mapped.addresses),
              "c0000201"
              "c0000202"
              "0001"
              "0002");
    sockaddr_un local{};
    local.sun_family = AF_UNIX;
    std::strcpy(local.sun_path, "/run/central");
    sockaddr_un nameless{};
    nameless.sun_family = AF_UNIX;
    const auto unix_socket = header(stored(nameless), stored(local));
    EXPECT_EQ(unix_socket.family, 0x31);
    EXPECT_EQ(to_string(unix_socket.addresses).substr(108, 13), std::string("/run/central\0", 13));
    EXPECT_EQ(header({}, {}).family, 0x00);
    EXPECT_EQ(header(v4("192.0.2.1", 1), v6("2001:db8::2", 2)).family, 0x00);
}

TEST(ProxyHeader, A32_APskIsASessionThatACertificateBegan)
{
    const auto by_key = test::read_proxy_header(proxy_header({}, peer(Means::psk), "ssh", "u"));
    EXPECT_EQ(by_key.client, 0x05);
    EXPECT_EQ(by_key.verify, 0U);
    EXPECT_EQ(to_string(by_key.ssl.at(0x22)), "SN-1");
    EXPECT_EQ(to_string(by_key.tlvs.at(0x01)), "ssh");
}

} // namespace
} // namespace imprint::central
