// SPDX-License-Identifier: Apache-2.0
#include "provisioning/protocol/key_messages.h"

#include "provisioning/protocol/parse_as.h"

namespace imprint::protocol {

namespace {

bool known(const KeyMessage& message)
{
    return message.body_case() != KeyMessage::BODY_NOT_SET &&
        protobuf::none_unknown(message, message.request(), message.grant(), message.confirm(), message.done(),
                               message.refused());
}

} // namespace

Result<KeyMessage> parse_key_message(BytesView body) { return parse_as<KeyMessage>(body, known); }

KeyMessage key_refused(const Refusal& refusal) { return refused_as<KeyMessage>(refusal); }

} // namespace imprint::protocol
