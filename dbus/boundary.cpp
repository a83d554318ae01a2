// SPDX-License-Identifier: Apache-2.0
#include "dbus/boundary.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace imprint::dbus {

namespace {

// The length of the well-formed UTF-8 character at the start (RFC 3629), or 0.
std::size_t character_at(std::string_view text)
{
    const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<std::uint8_t>(text[i]) : 0U; };
    const auto continues = [&](std::size_t i) { return (byte(i) & 0xc0U) == 0x80; };
    const auto first = byte(0);
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first < 0xe0)
        return continues(1) ? 2 : 0;
    if (first >= 0xe0 && first < 0xf0) {
        const bool overlong = first == 0xe0 && byte(1) < 0xa0;
        const bool surrogate = first == 0xed && byte(1) >= 0xa0;
        return continues(1) && continues(2) && !overlong && !surrogate ? 3 : 0;
    }
    if (first >= 0xf0 && first < 0xf5) {
        const bool outside = (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) >= 0x90);
        return continues(1) && continues(2) && continues(3) && !outside ? 4 : 0;
    }
    return 0;
}

bool is_control(std::string_view character)
{
    const auto first = static_cast<std::uint8_t>(character[0]);
    const bool c1 = character.size() == 2 && first == 0xc2 && static_cast<std::uint8_t>(character[1]) < 0xa0;
    return first < 0x20 || first == 0x7f || c1;
}

} // namespace

std::string printable(std::string_view text)
{
    std::string out;
    while (!text.empty()) {
        const auto size = character_at(text);
        const auto character = text.substr(0, std::max<std::size_t>(size, 1));
        if (size == 0 || is_control(character))
            out += '?';
        else
            out += character;
        text.remove_prefix(character.size());
    }
    return out;
}

int set_error(sd_bus_error* error, const Refusal& refusal) noexcept
{
    try {
        const auto message = printable(refusal.detail) + "\n" + std::string(hint(refusal.reason));
        return sd_bus_error_set(error, dbus_error(refusal.reason).data(), message.c_str());
    } catch (const std::exception&) {
        return -ENOMEM;
    }
}

void reply_error(sd_bus_message* call, const Refusal& refusal) noexcept
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    set_error(&error, refusal);
    sd_bus_reply_method_error(call, &error);
    sd_bus_error_free(&error);
}

std::optional<Reason> reason_named(std::string_view dbus_error_name)
{
    // The numbers of the wire are the list of all reasons.
    constexpr std::uint32_t last = 255;
    for (std::uint32_t number = 0; number <= last; ++number) {
        const auto reason = reason_from_wire(number);
        if (reason && dbus_error(*reason) == dbus_error_name)
            return reason;
    }
    return std::nullopt;
}

} // namespace imprint::dbus
