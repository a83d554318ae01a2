// SPDX-License-Identifier: Apache-2.0
// Who is at the other end of a connection: a device, told by its module certificate.
#pragma once

#include "daemon/pki/profile.h"

namespace imprint::central {

enum class Means {
    certificate, // the module key signed this very handshake
    psk, // a transaction key did what the module key had vouched for
};

struct Peer {
    pki::DeviceIdentity identity;
    std::string chip;
    std::uint64_t epoch = 0;
    Means means = Means::certificate;
};

std::string_view means_name(Means means); // "certificate", "psk"

// Refusal(wrong_role) for what is no module certificate; by whom it was issued is checked elsewhere.
Result<Peer> peer_of(const pki::Certificate& module, Means means);

} // namespace imprint::central
