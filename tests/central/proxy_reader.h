// SPDX-License-Identifier: Apache-2.0
// A strict reader of PROXY protocol v2 headers, as a backend would have one.
#pragma once

#include "daemon/base/bytes.h"

#include <map>
#include <string>

namespace imprint::test {

struct ProxyHeader {
    std::uint8_t family = 0;
    Bytes addresses;
    std::map<std::uint8_t, Bytes> tlvs;
    // of PP2_TYPE_SSL
    std::uint8_t client = 0;
    std::uint32_t verify = 0;
    std::map<std::uint8_t, Bytes> ssl;
    std::size_t size = 0; // of the whole header
};

// Throws std::runtime_error for whatever the specification does not allow, or that stands there twice. There may be
// more after the header; `bytes` needs to have the whole of it.
ProxyHeader read_proxy_header(BytesView bytes);
// How long the header is that begins with these 16 bytes.
std::size_t proxy_header_size(BytesView first);

} // namespace imprint::test
