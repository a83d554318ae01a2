// SPDX-License-Identifier: Apache-2.0
// Inside provisioning/protocol only: what the conversations' parsers have in common.
#pragma once

#include "provisioning/protocol/framing.h"

namespace imprint::protocol {

// A message in the one encoding, of at most max_message bytes, that `known` has no objection to.
template <class Conversation>
Result<Conversation> parse_as(BytesView body, bool (*known)(const Conversation&))
{
    Conversation message;
    if (const auto verdict =
            protobuf::parse_canonical(message, body, max_message, Reason::malformed_message, "a message");
        !verdict)
        return verdict.refusal();
    if (!known(message))
        return Refusal{Reason::malformed_message, "a message without a known body or with unknown fields"};
    return message;
}

// The refusal as a conversation's message.
template <class Conversation>
Conversation refused_as(const Refusal& refusal)
{
    Conversation message;
    *message.mutable_refused() = refused(refusal).refused();
    return message;
}

} // namespace imprint::protocol
