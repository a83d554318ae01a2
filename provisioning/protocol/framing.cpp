// SPDX-License-Identifier: Apache-2.0
#include "provisioning/protocol/framing.h"

#include "provisioning/protocol/parse_as.h"

#include <algorithm>

namespace imprint::protocol {

namespace {

using protobuf::none_unknown;

constexpr std::size_t max_detail = 1024;

std::string printable(std::string text)
{
    if (text.size() > max_detail)
        text.resize(max_detail);
    std::ranges::replace_if(
        text, [](unsigned char c) { return c < 0x20 || c > 0x7e; }, '?');
    return text;
}

bool known(const Attestation& m) { return none_unknown(m); }

bool known(const Hello& m)
{
    return none_unknown(m, m.capabilities(), m.introduction(), m.requested_identity()) &&
        std::ranges::all_of(m.endorsement_keys(), [](const auto& key) { return none_unknown(key); });
}

bool known(const Challenge& m) { return none_unknown(m, m.credential()); }

bool known(const Proof& m) { return none_unknown(m, m.creation(), m.storage_key(), m.epoch()); }

bool known(const Backup& m)
{
    return none_unknown(m) &&
        std::ranges::all_of(m.keys(), [](const auto& key) { return none_unknown(key) && known(key.certified()); });
}

bool known(const Message& m)
{
    if (!none_unknown(m))
        return false;
    switch (m.body_case()) {
    case Message::kHello:
        return known(m.hello());
    case Message::kChallenge:
        return known(m.challenge());
    case Message::kProof:
        return known(m.proof());
    case Message::kGrant:
        return none_unknown(m.grant());
    case Message::kBackup:
        return known(m.backup());
    case Message::kReceipt:
        return none_unknown(m.receipt());
    case Message::kRefused:
        return none_unknown(m.refused());
    case Message::kResume:
        return none_unknown(m.resume());
    case Message::BODY_NOT_SET:
        return false;
    }
    return false;
}

} // namespace

Result<std::size_t> announced_length(std::array<std::uint8_t, 4> header, std::size_t limit)
{
    std::size_t length = 0;
    for (const std::uint8_t byte : header)
        length = length << 8 | byte;
    if (length == 0)
        return Refusal{Reason::malformed_message, "an empty message"};
    if (length > limit)
        return Refusal{Reason::message_too_large,
                       "a message of " + std::to_string(length) + " bytes; " + std::to_string(limit) + " are allowed"};
    return length;
}

Bytes frame(BytesView body, std::size_t limit)
{
    if (body.empty() || body.size() > limit)
        throw Error(Reason::message_too_large, "a message of " + std::to_string(body.size()) + " bytes to send");
    Bytes framed;
    framed.reserve(4 + body.size());
    for (int shift = 24; shift >= 0; shift -= 8)
        framed.push_back(static_cast<std::uint8_t>(body.size() >> shift));
    framed.insert(framed.end(), body.begin(), body.end());
    return framed;
}

Result<Message> parse(BytesView body) { return parse_as<Message>(body, known); }

Message refused(const Refusal& refusal)
{
    Message message;
    message.mutable_refused()->set_reason(static_cast<std::uint32_t>(refusal.reason));
    message.mutable_refused()->set_detail(printable(refusal.detail));
    return message;
}

Refusal refusal_of(const Refused& refused)
{
    const auto reason = reason_from_wire(refused.reason());
    return {reason.value_or(Reason::internal), printable(refused.detail())};
}

} // namespace imprint::protocol
