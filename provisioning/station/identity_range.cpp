// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/identity_range.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace imprint::station {

namespace {

constexpr std::uint64_t max_number = 999'999'999'999'999'999; // the database counts in signed 64-bit numbers

// How the numbers of a kind are written; 0: as the operator likes.
struct Form {
    std::string_view kind;
    std::size_t prefix;
    unsigned width;
    int base;
};
constexpr std::array forms{Form{pki::serial_kind, 0, 0, 10}, Form{pki::imei_kind, 8, 6, 10},
                           Form{pki::eui48_kind, 6, 6, 16}, Form{pki::eui64_kind, 6, 10, 16}};

const Form* form_of(const std::string& kind)
{
    const auto* form = std::ranges::find(forms, kind, &Form::kind);
    return form == forms.end() ? nullptr : form;
}

Refusal invalid(const std::string& detail) { return {Reason::invalid_argument, detail}; }

std::string digits_of(std::uint64_t number, unsigned width, int base)
{
    std::array<char, 20> text{};
    char* end = std::to_chars(text.data(), text.data() + text.size(), number, base).ptr;
    std::string digits(text.data(), end);
    if (digits.size() < width)
        digits.insert(0, width - digits.size(), '0');
    return digits;
}

std::string colons(std::string_view digits)
{
    std::string out;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        out += i != 0 && i % 2 == 0 ? ":" : "";
        out += digits[i];
    }
    return out;
}

// The digits of an identity, without an IMEI's check digit and an EUI's colons.
Result<std::string> digits_of(const std::string& kind, const std::string& written)
{
    pki::DeviceIdentity identity{kind, written};
    if (kind == pki::imei_kind) {
        std::erase_if(identity.value, [](char c) { return c == ' ' || c == '-' || c == '.' || c == '/'; });
        if (identity.value.size() == 14)
            identity.value += pki::imei_check_digit(identity.value);
    }
    const auto normal = pki::normalize(identity);
    if (!normal)
        return invalid(written + ": " + normal.refusal().detail);
    std::string digits = normal->value;
    if (kind == pki::imei_kind)
        digits.pop_back();
    std::erase(digits, ':');
    return digits;
}

std::string without_digits_at_its_end(std::string text)
{
    text.erase(text.find_last_not_of("0123456789") + 1);
    return text;
}

} // namespace

pki::DeviceIdentity identity_at(const IdentityRange& range, std::uint64_t number)
{
    const auto* form = form_of(range.kind);
    std::string value = range.prefix + digits_of(number, range.width, form == nullptr ? 10 : form->base);
    if (range.kind == pki::imei_kind)
        value += pki::imei_check_digit(value);
    else if (range.kind != pki::serial_kind)
        value = colons(value);
    return {range.kind, value};
}

Verdict check(const IdentityRange& range)
{
    const auto* form = form_of(range.kind);
    if (form == nullptr)
        return invalid("there are ranges of imei, eui48, eui64 and serial");
    if (range.first > range.last || range.last > max_number)
        return invalid("a range goes from a number to one that is not smaller");
    if (form->width != 0 && (range.width != form->width || range.prefix.size() != form->prefix))
        return invalid("not the digits of an identity of this kind");
    if (digits_of(range.last, range.width, form->base).size() > range.width)
        return invalid("the last number has more than " + std::to_string(range.width) + " digits");
    for (const auto number : {range.first, range.last})
        if (const auto verdict = pki::check(identity_at(range, number)); !verdict)
            return verdict;
    return accepted();
}

Result<IdentityRange> range_between(const std::string& kind, const std::string& first, const std::string& last)
{
    const auto* form = form_of(kind);
    if (form == nullptr || form->width == 0)
        return invalid("there are ranges of imei, eui48 and eui64 from one identity to another");
    const auto from = digits_of(kind, first), to = digits_of(kind, last);
    if (!from || !to)
        return from ? to.refusal() : from.refusal();
    IdentityRange range{.kind = kind, .prefix = from->substr(0, form->prefix), .width = form->width};
    if (!to->starts_with(range.prefix))
        return invalid("the first and the last one do not have the same first " + std::to_string(form->prefix) +
                       " digits: these are two ranges");
    const auto number = [&](const std::string& digits) {
        return static_cast<std::uint64_t>(std::stoull(digits.substr(form->prefix), nullptr, form->base));
    };
    range.first = number(*from);
    range.last = number(*to);
    if (const auto verdict = check(range); !verdict)
        return verdict.refusal();
    return range;
}

bool overlap(const IdentityRange& one, const IdentityRange& other)
{
    const auto first = [](const auto& range) { return identity_at(range, range.first).value; };
    const auto last = [](const auto& range) { return identity_at(range, range.last).value; };
    // A prefix may end with digits; what follows the same text and has the same length is in the order of its bytes.
    return one.kind == other.kind && first(one).size() == first(other).size() &&
        without_digits_at_its_end(one.prefix) == without_digits_at_its_end(other.prefix) && first(one) <= last(other) &&
        first(other) <= last(one);
}

} // namespace imprint::station
