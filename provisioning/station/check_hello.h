// SPDX-License-Identifier: Apache-2.0
// The checks of Hello that need nothing but the message itself and the manufacturer's certificates.
#pragma once

#include "daemon/pki/profile.h"
#include "daemon/pki/verify.h"
#include "provisioning/protocol/messages.pb.h"
#include "provisioning/station/endorsement.h"

#include <optional>

namespace imprint::station {

// What a device says of itself, each part of the right shape. Nothing of it is proven yet.
struct Claim {
    std::string chip;
    Endorsement endorsement; // of the first endorsement key
    TPMT_PUBLIC identity_key{};
    Bytes identity_key_name, identity_key_qualified_name, identity_key_spki;
    std::optional<pki::Certificate> identity_certificate; // checked up to the checking CA
    pki::Certificates identity_issuers; // of that, the anchor left out
    TPMT_PUBLIC storage_key{};
    Bytes storage_key_name, storage_key_qualified_name;
    Bytes epoch_index_name;
    std::uint64_t epoch = 0; // even
    Bytes nonce; // 32 bytes
    struct Introduction {
        std::string selector;
        Bytes proof; // 32 bytes
    };
    std::optional<Introduction> introduction; // not judged yet
    std::optional<pki::DeviceIdentity> requested; // who it wants to be
    std::uint64_t sequence() const { return epoch + 1; }
};

// Refusal(unsupported_version | malformed_message | identity_key_invalid | storage_key_invalid | epoch_index_invalid |
// epoch_mismatch | capability_missing | key_mismatch | the identity certificate's reasons).
Result<Claim> check_hello(const protocol::Hello& hello, const pki::Trust& trust, pki::Time now);

} // namespace imprint::station
