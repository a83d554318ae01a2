// SPDX-License-Identifier: Apache-2.0
#include "provisioning/central/proxy_header.h"

#include "daemon/structures/encode.h"

#include <netinet/in.h>
#include <sys/un.h>

#include <cstring>

namespace imprint::central {

namespace {

using structures::big_endian;
using structures::concat;

constexpr std::string_view signature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::uint8_t version_proxy = 0x21; // version 2, command PROXY

enum Family : std::uint8_t { unspecified = 0x00, tcp4 = 0x11, tcp6 = 0x21, unix_stream = 0x31 };

// The specification's names without their PP2_.
constexpr std::uint8_t type_alpn = 0x01;
constexpr std::uint8_t type_unique_id = 0x05;
constexpr std::uint8_t type_ssl = 0x20;
constexpr std::uint8_t subtype_ssl_version = 0x21;
constexpr std::uint8_t subtype_ssl_cn = 0x22;
constexpr std::uint8_t client_ssl = 0x01;
constexpr std::uint8_t client_cert_conn = 0x02; // the certificate came over this connection
constexpr std::uint8_t client_cert_sess = 0x04; // ... or earlier, for the key of this one
constexpr std::size_t unix_path_size = 108;

Bytes tlv(std::uint8_t type, BytesView value)
{
    return concat(Bytes{type}, big_endian(static_cast<std::uint16_t>(value.size())), value);
}

struct Addresses {
    Family family = unspecified;
    Bytes bytes;
};

template <class T>
T as(const sockaddr_storage& address)
{
    T out{};
    std::memcpy(&out, &address, sizeof out);
    return out;
}

Bytes raw(const void* data, std::size_t size)
{
    const auto* begin = static_cast<const std::uint8_t*>(data);
    return {begin, begin + size};
}

Addresses v4(const in_addr& source, in_port_t source_port, const in_addr& destination, in_port_t destination_port)
{
    return {tcp4, concat(raw(&source, 4), raw(&destination, 4), raw(&source_port, 2), raw(&destination_port, 2))};
}

in_addr mapped(const in6_addr& address)
{
    in_addr out{};
    std::memcpy(&out, &address.s6_addr[12], sizeof out);
    return out;
}

Addresses v6(const sockaddr_in6& source, const sockaddr_in6& destination)
{
    if (IN6_IS_ADDR_V4MAPPED(&source.sin6_addr) && IN6_IS_ADDR_V4MAPPED(&destination.sin6_addr))
        return v4(mapped(source.sin6_addr), source.sin6_port, mapped(destination.sin6_addr), destination.sin6_port);
    return {tcp6,
            concat(raw(&source.sin6_addr, 16), raw(&destination.sin6_addr, 16), raw(&source.sin6_port, 2),
                   raw(&destination.sin6_port, 2))};
}

Addresses addresses_of(const Ends& ends)
{
    switch (ends.source.ss_family == ends.destination.ss_family ? ends.source.ss_family : sa_family_t{AF_UNSPEC}) {
    case AF_INET: {
        const auto from = as<sockaddr_in>(ends.source), to = as<sockaddr_in>(ends.destination);
        return v4(from.sin_addr, from.sin_port, to.sin_addr, to.sin_port);
    }
    case AF_INET6:
        return v6(as<sockaddr_in6>(ends.source), as<sockaddr_in6>(ends.destination));
    case AF_UNIX:
        return {unix_stream,
                concat(raw(as<sockaddr_un>(ends.source).sun_path, unix_path_size),
                       raw(as<sockaddr_un>(ends.destination).sun_path, unix_path_size))};
    default:
        return {};
    }
}

// A key that a certificate vouched for counts as a session that a certificate began, as with TLS's own resumption.
Bytes ssl_tlv(const Peer& peer)
{
    const std::uint8_t client =
        client_ssl | client_cert_sess | (peer.means == Means::certificate ? client_cert_conn : std::uint8_t{0});
    const Bytes verify(4); // 0: it was good
    return tlv(type_ssl,
               concat(Bytes{client}, verify, tlv(subtype_ssl_version, as_bytes("TLSv1.3")),
                      tlv(subtype_ssl_cn, as_bytes(peer.identity.value))));
}

} // namespace

Bytes proxy_header(const Ends& ends, const Peer& peer, std::string_view alpn, std::string_view unique_id)
{
    const auto addresses = addresses_of(ends);
    const Bytes rest =
        concat(addresses.bytes, alpn.empty() ? Bytes{} : tlv(type_alpn, as_bytes(alpn)),
               tlv(type_unique_id, as_bytes(unique_id)), ssl_tlv(peer), tlv(tlv_chip, as_bytes(peer.chip)),
               tlv(tlv_identity_kind, as_bytes(peer.identity.kind)), tlv(tlv_epoch, big_endian(peer.epoch)));
    return concat(to_bytes(signature), Bytes{version_proxy, addresses.family},
                  big_endian(static_cast<std::uint16_t>(rest.size())), rest);
}

} // namespace imprint::central
