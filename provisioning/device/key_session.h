// SPDX-License-Identifier: Apache-2.0
// The device's side of the conversation that gives it a transaction key (claim A32), free of I/O: takes the central
// system's messages, gives the next.
#pragma once

#include "daemon/lifecycle/store.h"
#include "daemon/pki/certificate.h"
#include "daemon/structures/wrap.h"
#include "provisioning/protocol/messages.pb.h"

#include <functional>

namespace imprint::device {

// What the TPM does for it. Both throw Error.
struct KeyHolder {
    std::function<Bytes(const structures::Importable&)> import; // the loadable TPM2B_PRIVATE
    std::function<Secret(BytesView object, BytesView sensitive, BytesView input)> hmac;
};

class KeySession {
public:
    struct Situation {
        TPMT_PUBLIC storage_key;
        Bytes epoch_index_name;
        std::uint64_t odd_epoch = 0;
        Bytes channel_binding; // of the TLS connection
        pki::Time now;
    };
    KeySession(Situation situation, KeyHolder holder);

    Bytes request() const;
    // The answer to a message, empty when the key is good for connections; or why the session is over. Throws Error.
    Result<Bytes> take(BytesView message);
    // Afterwards: the key, but for its address and the central system's own key.
    const lifecycle::TransactionKey& key() const { return key_; }
    // An update of the central system's keys that came along, unchecked; empty: none.
    const Bytes& central_set() const { return central_set_; }

private:
    enum class Awaiting { grant, done, nothing };
    Result<Bytes> answer_grant(const protocol::KeyGrant& grant);

    Situation situation_;
    KeyHolder holder_;
    Awaiting awaiting_ = Awaiting::grant;
    lifecycle::TransactionKey key_;
    Bytes central_set_;
};

} // namespace imprint::device
