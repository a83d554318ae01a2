// SPDX-License-Identifier: Apache-2.0
// The conversation by which a device gets its transaction key (claim A32), free of I/O: takes a message's bytes, gives
// the next message's. For a connection that a module key authenticated; central.md tells it as prose.
#pragma once

#include "provisioning/central/transaction_keys.h"
#include "provisioning/protocol/key_messages.h"

namespace imprint::central {

// What all conversations share. Borrowed.
struct KeyOffice {
    Store& store;
    const Sealer& sealer;
    KeyLifetimes lifetimes;
};

// What a message led to. Everything in it is durable already.
struct KeyAnswer {
    Bytes message; // to send; empty if there is nothing to say
    bool last = false; // the conversation is over once it is sent
    std::optional<Refusal> refused; // by whom ever, for the log
    std::optional<Bytes> made; // the identifier of a key that is good from now on
};

class KeySession {
public:
    // `chain`: the device's module certificate and its issuers, verified; `central_set`: handed over as it is.
    KeySession(const KeyOffice& office, pki::Certificates chain, Bytes channel_binding, Bytes central_set);

    // Never throws for what the peer sent; whatever goes wrong ends the conversation.
    KeyAnswer receive(BytesView bytes, pki::Time now);
    // A message that was not even read: its length is refused.
    KeyAnswer reject(const Refusal& why);

private:
    enum class Step { request, confirm, over };

    KeyAnswer dispatch(Step step, const protocol::KeyMessage& message, pki::Time now);
    KeyAnswer on_request(const protocol::KeyRequest& request, pki::Time now);
    KeyAnswer on_confirm(const protocol::KeyConfirm& confirm);

    const KeyOffice& office_;
    pki::Certificates chain_;
    Bytes channel_binding_;
    Bytes central_set_;
    Step step_ = Step::request;
    NewKey offered_;
};

} // namespace imprint::central
