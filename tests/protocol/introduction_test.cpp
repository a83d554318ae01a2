// SPDX-License-Identifier: Apache-2.0
// Transaction numbers and tickets: how they are made, written, typed and proven. introductions.txt has what is typed.
#include "provisioning/protocol/introduction.h"

#include "daemon/base/file.h"

#include <gtest/gtest.h>

#include <set>
#include <sstream>

namespace imprint::protocol {

namespace {

constexpr std::string_view alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const std::string good = "7Q2MX1141KDP0T0VHZC2";
const std::string ticket_text =
    "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

std::string text(const IntroductionCode& code) { return to_string(text_of(code).view()); }

std::string verdict(const Result<IntroductionCode>& read)
{
    if (!read)
        return std::string(name(read.refusal().reason));
    return "accept " + read->selector + ' ' + to_string(read->secret.view());
}

std::string trimmed(const std::string& text)
{
    const auto end = text.find_last_not_of(' ');
    const auto begin = text.find_first_not_of(' ');
    return end == std::string::npos ? "" : text.substr(begin, end + 1 - begin);
}

TEST(TransactionNumber, A34_TheVectors)
{
    std::istringstream lines(to_string(read_file(INTRODUCTIONS, 1 << 20).value()));
    int count = 0;
    for (std::string line; std::getline(lines, line);) {
        const auto bar = line.find('|');
        if (line.starts_with('#') || bar == std::string::npos)
            continue;
        const auto expect = trimmed(line.substr(bar + 1, line.find('#', bar) - bar - 1));
        EXPECT_EQ(verdict(read_transaction_number(line.substr(0, bar))), expect) << line;
        ++count;
    }
    EXPECT_GT(count, 15);
}

TEST(TransactionNumber, A34_EverySlipOfOneSymbolIsTold)
{
    for (std::size_t i = 0; i < good.size(); ++i)
        for (const char other : alphabet) {
            std::string typed = good;
            typed[i] = other;
            EXPECT_EQ(bool(read_transaction_number(typed)), other == good[i]) << typed;
        }
}

// Neighbours anywhere, and any two in front of the check symbol.
TEST(TransactionNumber, A34_ExchangedSymbolsAreTold)
{
    for (std::size_t i = 0; i < good.size(); ++i)
        for (std::size_t j = i + 1; j < good.size(); ++j) {
            if (j == good.size() - 1 && i != j - 1)
                continue;
            std::string typed = good;
            std::swap(typed[i], typed[j]);
            EXPECT_EQ(bool(read_transaction_number(typed)), good[i] == good[j]) << typed;
        }
}

TEST(TransactionNumber, A34_NoByteMakesTheReaderStumble)
{
    for (int byte = 0; byte < 256; ++byte)
        for (const std::size_t at : {std::size_t{0}, std::size_t{9}, good.size()}) {
            std::string typed = good;
            typed.insert(at, 1, static_cast<char>(byte));
            const bool ignored =
                std::string_view("- \t\n\v\f\r").find(static_cast<char>(byte)) != std::string_view::npos;
            EXPECT_EQ(bool(read_transaction_number(typed)), ignored) << byte << " at " << at;
        }
    EXPECT_FALSE(read_transaction_number(std::string(1 << 20, '-') + good)); // nobody types that
}

TEST(TransactionNumber, Attack26_NewOnesReadBackAndAreDrawnFromAllSymbols)
{
    std::set<std::string> seen;
    std::set<char> symbols;
    for (int i = 0; i < 1000; ++i) {
        const auto code = new_transaction_number();
        const auto written = text(code);
        ASSERT_EQ(written.size(), 23U);
        const auto back = read_transaction_number(written).or_throw();
        EXPECT_EQ(back.selector, code.selector);
        EXPECT_TRUE(equal(back.secret.view(), code.secret.view()));
        EXPECT_TRUE(is_selector(code.selector));
        EXPECT_TRUE(seen.insert(written).second);
        symbols.insert(code.secret.begin(), code.secret.end());
    }
    EXPECT_EQ(symbols, std::set<char>(alphabet.begin(), alphabet.end()));
}

TEST(Ticket, ReadsBackStrictly)
{
    const auto code = new_ticket();
    const auto back = read_ticket(text(code)).or_throw();
    EXPECT_EQ(back.selector, code.selector);
    EXPECT_TRUE(equal(back.secret.view(), code.secret.view()));
    EXPECT_EQ(text(read_ticket(ticket_text).or_throw()), ticket_text);
    EXPECT_EQ(read_ticket(good).refusal().reason, Reason::invalid_argument);
    for (const auto& bad : {ticket_text + '\n', ticket_text + "00", ticket_text.substr(1), std::string(96, 'A'),
                            std::string(96, 'g'), std::string()})
        EXPECT_FALSE(read_ticket(bad)) << bad;
}

TEST(Selector, IsOfOneOfTheTwoForms)
{
    EXPECT_TRUE(is_selector("7Q2MX11"));
    EXPECT_TRUE(is_selector("00112233445566778899aabbccddeeff"));
    for (const auto* bad : {"", "7Q2MX1", "7q2mx11", "7Q2MXI1", "7Q2MX111", "00112233445566778899AABBCCDDEEFF",
                            "00112233445566778899aabbccddeef", "7Q2MX1\n"})
        EXPECT_FALSE(is_selector(bad)) << bad;
}

// Computed with Python's hmac, as protocol.md says.
TEST(Introduction, VerifierAndProofAreThePublishedOnes)
{
    const Bytes binding(32, 0x42);
    const Bytes nonce(32, 7);
    std::string chip;
    for (int i = 0; i < 32; ++i)
        chip += "ab";
    const auto number = verifier_of(read_transaction_number(good).or_throw());
    EXPECT_EQ(hex(number.view()), "c27edaaee7bf8fa9273bbf587a0248e85c3f5239f9c33678032a3c2677198df4");
    const auto proof = introduction_proof(number, binding, chip, nonce);
    EXPECT_EQ(hex(proof), "8fb93d30954ce9f4e2b01bec303eb90ea39ddc3dfd0aaafc6aa4814f11accd54");
    const auto ticket = verifier_of(read_ticket(ticket_text).or_throw());
    EXPECT_EQ(hex(ticket.view()), "690c67d5bc42eac00a42652c65881a097395375b3bf8e86d90cb0a1e5e432f73");
    EXPECT_EQ(hex(introduction_proof(ticket, binding, chip, nonce)),
              "0b617574aadf053cf33ca1a4f9fd8e8c6e8da2dcfc56a15488c514eee9bfbbc0");

    EXPECT_NE(introduction_proof(number, Bytes(32, 9), chip, nonce), proof);
    EXPECT_NE(introduction_proof(number, binding, std::string(64, 'c'), nonce), proof);
    EXPECT_NE(introduction_proof(number, binding, chip, Bytes(32, 9)), proof);
}

} // namespace

} // namespace imprint::protocol
