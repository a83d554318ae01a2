// SPDX-License-Identifier: Apache-2.0
#include "provisioning/protocol/introduction.h"

#include "daemon/base/hkdf.h"
#include "daemon/structures/encode.h"

#include <openssl/crypto.h>

#include <algorithm>

namespace imprint::protocol {

namespace {

// Crockford's base 32: no I, L, O and U.
constexpr std::string_view alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr unsigned check_modulus = 37; // Crockford's; a prime, so that every single slip changes the remainder
constexpr std::size_t group = 5; // symbols, as they are written
constexpr std::size_t tan_selector = 7; // symbols
constexpr std::size_t tan_secret = 12;
constexpr std::size_t tan_symbols = tan_selector + tan_secret + 1; // the last one is the check symbol
constexpr std::size_t ticket_selector = 16; // bytes
constexpr std::size_t ticket_secret = 32;
constexpr std::size_t max_typed = 128; // characters

constexpr std::string_view label = "imprint/1 introduction";

Bytes labelled(BytesView rest) { return structures::concat(to_bytes(label), Bytes{0}, rest); }

bool is_symbol(char c) { return alphabet.find(c) != std::string_view::npos; }

bool is_hex(std::string_view text)
{
    return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_ignored(char c) { return c == '-' || c == ' ' || (c >= '\t' && c <= '\r'); }

char normalized(char c)
{
    if (c >= 'a' && c <= 'z')
        c = static_cast<char>(c - 'a' + 'A');
    return c == 'O' ? '0' : c == 'I' || c == 'L' ? '1' : c;
}

// The remainder of the number that the symbols stand for. From 32 on there is no plain symbol for it.
unsigned check_value(BytesView symbols)
{
    unsigned remainder = 0;
    for (const char symbol : as_text(symbols))
        remainder =
            (remainder * static_cast<unsigned>(alphabet.size()) + static_cast<unsigned>(alphabet.find(symbol))) %
            check_modulus;
    return remainder;
}

Secret random_symbols(std::size_t count)
{
    Secret symbols = random_secret(count);
    for (std::size_t i = 0; i < count; ++i)
        symbols.data()[i] = static_cast<std::uint8_t>(alphabet[symbols.data()[i] % alphabet.size()]);
    return symbols;
}

// Selector, secret and, if there is a plain symbol for it, the check symbol.
Secret with_check(const Secret& symbols)
{
    Secret all(tan_symbols);
    std::ranges::copy(symbols, all.data());
    const unsigned check = check_value(symbols.view());
    all.data()[tan_symbols - 1] = check < alphabet.size() ? static_cast<std::uint8_t>(alphabet[check]) : 0;
    return all;
}

IntroductionCode split(const Secret& symbols)
{
    return {IntroductionKind::transaction_number, to_string(symbols.view().first(tan_selector)),
            Secret(symbols.view().subspan(tan_selector, tan_secret))};
}

Secret grouped(const IntroductionCode& code)
{
    Secret symbols(tan_symbols - 1);
    std::ranges::copy(code.selector, symbols.data());
    std::ranges::copy(code.secret, symbols.data() + tan_selector);
    const Secret all = with_check(symbols);
    Secret text(tan_symbols + (tan_symbols - 1) / group);
    auto* to = text.data();
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (i != 0 && i % group == 0)
            *to++ = '-';
        *to++ = all.data()[i];
    }
    return text;
}

Secret secret_hex(const Secret& bytes)
{
    Secret text(bytes.size() * 2 + 1); // OpenSSL terminates it
    OPENSSL_buf2hexstr_ex(reinterpret_cast<char*>(text.data()), text.size(), nullptr, bytes.data(), bytes.size(), '\0');
    text.resize(bytes.size() * 2);
    for (std::size_t i = 0; i < text.size(); ++i)
        if (text.data()[i] >= 'A' && text.data()[i] <= 'F')
            text.data()[i] = static_cast<std::uint8_t>(text.data()[i] - 'A' + 'a');
    return text;
}

Secret secret_unhex(std::string_view digits)
{
    Secret terminated(digits.size() + 1);
    std::ranges::copy(digits, terminated.data());
    Secret bytes(digits.size() / 2);
    if (OPENSSL_hexstr2buf_ex(bytes.data(), bytes.size(), nullptr, reinterpret_cast<const char*>(terminated.data()),
                              '\0') != 1)
        throw openssl_error(Reason::internal, "cannot read hexadecimal digits");
    return bytes;
}

} // namespace

std::string_view name(IntroductionKind kind) { return kind == IntroductionKind::ticket ? "ticket" : "tan"; }

bool is_selector(std::string_view text)
{
    return (text.size() == tan_selector && std::ranges::all_of(text, is_symbol)) ||
        (text.size() == ticket_selector * 2 && is_hex(text));
}

IntroductionCode new_transaction_number()
{
    for (;;) {
        const Secret symbols = random_symbols(tan_selector + tan_secret);
        if (check_value(symbols.view()) < alphabet.size())
            return split(symbols);
    }
}

IntroductionCode new_ticket()
{
    return {IntroductionKind::ticket, hex(random_bytes(ticket_selector)), random_secret(ticket_secret)};
}

Secret text_of(const IntroductionCode& code)
{
    if (code.kind == IntroductionKind::transaction_number)
        return grouped(code);
    const Secret digits = secret_hex(code.secret);
    Secret text(code.selector.size() + digits.size());
    std::ranges::copy(digits, std::ranges::copy(code.selector, text.data()).out);
    return text;
}

Result<IntroductionCode> read_transaction_number(std::string_view text)
{
    const auto mistyped = [](const char* how) { return Refusal{Reason::transaction_number_mistyped, how}; };
    const auto count = std::ranges::count_if(text, [](char c) { return !is_ignored(c); });
    if (text.size() > max_typed || count != static_cast<std::ptrdiff_t>(tan_symbols))
        return mistyped("a transaction number has 4 groups of 5 letters and digits");
    Secret symbols(tan_symbols);
    auto* to = symbols.data();
    for (const char c : text)
        if (!is_ignored(c))
            *to++ = static_cast<std::uint8_t>(normalized(c));
    if (!std::ranges::all_of(as_text(symbols.view()), is_symbol))
        return mistyped("a character that no transaction number has");
    const Secret expected = with_check(Secret(symbols.view().first(tan_symbols - 1)));
    if (CRYPTO_memcmp(expected.data(), symbols.data(), symbols.size()) != 0)
        return mistyped("a letter or digit is wrong, or two are exchanged");
    return split(symbols);
}

Result<IntroductionCode> read_ticket(std::string_view text)
{
    if (text.size() != (ticket_selector + ticket_secret) * 2 || !is_hex(text))
        return Refusal{Reason::invalid_argument, "a ticket has 96 hexadecimal digits in lower case"};
    return IntroductionCode{IntroductionKind::ticket, std::string(text.substr(0, ticket_selector * 2)),
                            secret_unhex(text.substr(ticket_selector * 2))};
}

Secret verifier_of(const IntroductionCode& code)
{
    constexpr std::size_t verifier_size = 32;
    return hkdf_sha256(code.secret, labelled(as_bytes(code.selector)), verifier_size);
}

Bytes introduction_proof(const Secret& verifier, BytesView channel_binding, std::string_view chip_identifier,
                         BytesView nonce)
{
    const Secret proof =
        hmac_sha256(verifier, labelled(structures::concat(channel_binding, as_bytes(chip_identifier), nonce)));
    return {proof.begin(), proof.end()};
}

} // namespace imprint::protocol
