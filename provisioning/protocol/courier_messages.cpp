// SPDX-License-Identifier: Apache-2.0
#include "provisioning/protocol/courier_messages.h"

#include "provisioning/protocol/parse_as.h"

#include <algorithm>

namespace imprint::protocol {

namespace {

constexpr std::size_t max_reason = 128;
constexpr std::size_t max_address = 255;

bool known(const CourierMessage& message)
{
    return message.body_case() != CourierMessage::BODY_NOT_SET &&
        protobuf::none_unknown(message, message.request(), message.answer(), message.refused());
}

bool all_between(std::string_view text, char first, char last)
{
    return std::ranges::all_of(text, [=](char c) { return c >= first && c <= last; });
}

} // namespace

Result<CourierMessage> parse_courier_message(BytesView body) { return parse_as<CourierMessage>(body, known); }

CourierMessage courier_refused(const Refusal& refusal) { return refused_as<CourierMessage>(refusal); }

bool is_introduction_reason(std::string_view text)
{
    return !text.empty() && text.size() <= max_reason && all_between(text, ' ', '~');
}

bool is_station_address(std::string_view text) { return text.size() <= max_address && all_between(text, '!', '~'); }

} // namespace imprint::protocol
