// SPDX-License-Identifier: Apache-2.0
#include "daemon/pki/identity.h"

#include "daemon/base/ascii.h"
#include "daemon/pki/profile_asn1.h"

#include <algorithm>
#include <array>

namespace imprint::pki {

namespace {

constexpr std::size_t imei_digits = 15;
constexpr std::size_t max_serial = 64;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); }

std::string lower(std::string_view text)
{
    std::string out(text);
    std::ranges::transform(out, out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
    return out;
}

std::string without(std::string_view text, std::string_view separators)
{
    std::string out(text);
    std::erase_if(out, [&](char c) { return separators.find(c) != std::string_view::npos; });
    return out;
}

// The digits in groups, from left to right; the last length stays for the rest.
std::string grouped(std::string_view digits, std::initializer_list<std::size_t> lengths, char separator)
{
    std::string out;
    for (auto length = lengths.begin(); !digits.empty(); length += length + 1 == lengths.end() ? 0 : 1) {
        out += out.empty() ? "" : std::string(1, separator);
        out += digits.substr(0, *length);
        digits.remove_prefix(std::min(*length, digits.size()));
    }
    return out;
}

std::string eui(std::string_view digits) { return grouped(digits, {2}, ':'); }
std::string uuid(std::string_view digits) { return grouped(digits, {8, 4, 4, 4, 12}, '-'); }

Verdict verdict(bool good, const char* otherwise)
{
    if (!good)
        return Refusal{Reason::invalid_argument, otherwise};
    return accepted();
}

Verdict check_imei(std::string_view value)
{
    if (value.size() != imei_digits || !std::ranges::all_of(value, is_digit))
        return Refusal{Reason::invalid_argument, "an IMEI has 15 digits"};
    return verdict(imei_check_digit(value.substr(0, imei_digits - 1)) == value.back(),
                   "the check digit of the IMEI, its last one, does not fit: it is mistyped");
}

Verdict check_eui(std::string_view value, std::size_t octets, const char* form)
{
    const std::string digits = without(value, ":");
    if (digits.size() != 2 * octets || !std::ranges::all_of(digits, is_lower_hex) || value != eui(digits))
        return Refusal{Reason::invalid_argument, form};
    const int first = digits[1] <= '9' ? digits[1] - '0' : digits[1] - 'a' + 10;
    return verdict(first % 2 == 0, "a group address (the first octet is odd) is no device's");
}

Verdict check_uuid(std::string_view value)
{
    const std::string digits = without(value, "-");
    if (digits.size() != 32 || !std::ranges::all_of(digits, is_lower_hex) || value != uuid(digits))
        return Refusal{Reason::invalid_argument, "a UUID is like f81d4fae-7dec-11d0-a765-00a0c91e6bf6"};
    return verdict(digits.find_first_not_of('0') != std::string::npos, "the nil UUID is no device's");
}

Verdict check_serial(std::string_view value)
{
    if (value.empty() || value.size() > max_serial)
        return Refusal{Reason::invalid_argument, "a serial number has 1 to 64 characters"};
    return verdict(is_printable(value), "a serial number is printable ASCII");
}

std::string normalized_eui(std::string_view value)
{
    const std::string text = lower(value), digits = without(text, ":-.");
    const std::array forms{digits, grouped(digits, {2}, '-'), grouped(digits, {4}, '.')};
    return std::ranges::find(forms, text) != forms.end() ? eui(digits) : text;
}

std::string normalized_uuid(std::string_view value)
{
    constexpr std::string_view urn = "urn:uuid:";
    std::string text = lower(value);
    if (text.starts_with(urn))
        text.erase(0, urn.size());
    else if (text.starts_with('{') && text.ends_with('}'))
        text = text.substr(1, text.size() - 2);
    return text.size() == 32 ? uuid(text) : text;
}

} // namespace

char imei_check_digit(std::string_view digits)
{
    unsigned sum = 0;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        const unsigned digit = static_cast<unsigned>(digits[i] - '0') << (i % 2);
        sum += digit / 10 + digit % 10;
    }
    return static_cast<char>('0' + (10 - sum % 10) % 10);
}

Verdict check(const DeviceIdentity& identity)
{
    if (identity.kind == serial_kind)
        return check_serial(identity.value);
    if (identity.kind == imei_kind)
        return check_imei(identity.value);
    if (identity.kind == eui48_kind)
        return check_eui(identity.value, 6, "an EUI-48 is like 00:1b:44:11:3a:b7");
    if (identity.kind == eui64_kind)
        return check_eui(identity.value, 8, "an EUI-64 is like 00:1b:44:ff:fe:11:3a:b7");
    if (identity.kind == uuid_kind)
        return check_uuid(identity.value);
    return Refusal{Reason::invalid_argument, "an unknown kind of device identity (imei, eui48, eui64, serial, uuid)"};
}

std::string assigner_of(std::string_view kind)
{
    constexpr std::array kinds{imei_kind, eui48_kind, eui64_kind, serial_kind, uuid_kind}; // their numbers are for good
    return identity_assigner_arc + std::to_string(std::ranges::find(kinds, kind) - kinds.begin() + 1);
}

Result<DeviceIdentity> normalize(const DeviceIdentity& written)
{
    DeviceIdentity identity = written;
    if (identity.kind == imei_kind)
        identity.value = without(identity.value, " -./");
    else if (identity.kind == eui48_kind || identity.kind == eui64_kind)
        identity.value = normalized_eui(identity.value);
    else if (identity.kind == uuid_kind)
        identity.value = normalized_uuid(identity.value);
    if (const auto checked = check(identity); !checked)
        return checked.refusal();
    return identity;
}

Result<DeviceIdentity> parse_identity(std::string_view text)
{
    const auto colon = text.find(':');
    if (colon == std::string_view::npos)
        return Refusal{Reason::invalid_argument, "not KIND:VALUE, such as imei:490154203237518"};
    return normalize({std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))});
}

} // namespace imprint::pki
