// SPDX-License-Identifier: Apache-2.0
#include "tests/central/proxy_reader.h"

#include <stdexcept>

namespace imprint::test {

namespace {

constexpr std::size_t fixed = 16;
constexpr std::string_view signature("\r\n\r\n\0\r\nQUIT\n", 12);

void require(bool ok, const char* what)
{
    if (!ok)
        throw std::runtime_error(what);
}

std::size_t number(BytesView bytes)
{
    std::size_t value = 0;
    for (const auto byte : bytes)
        value = value << 8U | byte;
    return value;
}

BytesView take(BytesView& from, std::size_t size)
{
    require(from.size() >= size, "a header that is too short");
    const BytesView taken = from.first(size);
    from = from.subspan(size);
    return taken;
}

std::map<std::uint8_t, Bytes> read_tlvs(BytesView bytes)
{
    std::map<std::uint8_t, Bytes> all;
    while (!bytes.empty()) {
        const std::uint8_t type = take(bytes, 1).front();
        const auto value = take(bytes, number(take(bytes, 2)));
        require(all.emplace(type, Bytes(value.begin(), value.end())).second, "a TLV that stands there twice");
    }
    return all;
}

std::size_t addresses_size(std::uint8_t family)
{
    switch (family) {
    case 0x00:
        return 0;
    case 0x11:
        return 12;
    case 0x21:
        return 36;
    case 0x31:
        return 216;
    default:
        throw std::runtime_error("an address family that nobody knows");
    }
}

} // namespace

std::size_t proxy_header_size(BytesView first)
{
    require(first.size() >= fixed && as_text(first.first(12)) == signature, "no signature");
    require(first[12] == 0x21, "not version 2 and PROXY");
    return fixed + number(first.subspan(14, 2));
}

ProxyHeader read_proxy_header(BytesView bytes)
{
    ProxyHeader header;
    header.size = proxy_header_size(bytes);
    header.family = bytes[13];
    require(bytes.size() >= header.size, "a header that is too short");
    BytesView rest = bytes.subspan(fixed, header.size - fixed);
    const auto addresses = take(rest, addresses_size(header.family));
    header.addresses = {addresses.begin(), addresses.end()};
    header.tlvs = read_tlvs(rest);
    const Bytes& ssl = header.tlvs.at(0x20);
    BytesView inner = ssl;
    header.client = take(inner, 1).front();
    header.verify = static_cast<std::uint32_t>(number(take(inner, 4)));
    header.ssl = read_tlvs(inner);
    return header;
}

} // namespace imprint::test
