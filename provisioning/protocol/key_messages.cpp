// SPDX-License-Identifier: Apache-2.0
#include "provisioning/protocol/key_messages.h"

#include "provisioning/protocol/framing.h"

namespace imprint::protocol {

namespace {

bool known(const KeyMessage& message)
{
    return message.body_case() != KeyMessage::BODY_NOT_SET &&
        protobuf::none_unknown(message, message.request(), message.grant(), message.confirm(), message.done(),
                               message.refused());
}

} // namespace

Result<KeyMessage> parse_key_message(BytesView body)
{
    KeyMessage message;
    if (const auto verdict =
            protobuf::parse_canonical(message, body, max_message, Reason::malformed_message, "a message");
        !verdict)
        return verdict.refusal();
    if (!known(message))
        return Refusal{Reason::malformed_message, "a message without a known body or with unknown fields"};
    return message;
}

KeyMessage key_refused(const Refusal& refusal)
{
    KeyMessage message;
    *message.mutable_refused() = refused(refusal).refused();
    return message;
}

} // namespace imprint::protocol
