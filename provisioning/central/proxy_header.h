// SPDX-License-Identifier: Apache-2.0
// The PROXY protocol, version 2 (HAProxy, doc/proxy-protocol.txt, 2020/03/05): tells a backend whose connection it
// gets. central.md lists the bytes.
#pragma once

#include "provisioning/central/peer.h"

#include <sys/socket.h>

#include <span>

namespace imprint::central {

// Own TLVs, from the range that the specification leaves to applications.
inline constexpr std::uint8_t tlv_chip = 0xE0; // chip identifier, 64 characters
inline constexpr std::uint8_t tlv_identity_kind = 0xE1; // "serial", "imei" ...
inline constexpr std::uint8_t tlv_epoch = 0xE2; // 64 bits, big-endian

// A connection's ends as getpeername(2) and getsockname(2) tell them.
struct Ends {
    sockaddr_storage source{}; // the device's
    sockaddr_storage destination{}; // ours
};

// `alpn`: the application protocol that was agreed on; empty: none. `unique_id`: at most 128 bytes; it stands in our
// log, too.
Bytes proxy_header(const Ends& ends, const Peer& peer, std::string_view alpn, std::string_view unique_id);

} // namespace imprint::central
