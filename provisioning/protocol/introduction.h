// SPDX-License-Identifier: Apache-2.0
// Introductions (claims A34 to A38): a public selector and a secret that the station gave out once, and that a device
// proves to know. A transaction number (TAN) is short enough to be typed; a ticket goes from program to program.
// protocol.md has both forms as prose, tests/protocol/introductions.txt examples with their verdicts.
#pragma once

#include "daemon/base/error.h"
#include "daemon/base/secret.h"

#include <string>
#include <string_view>

namespace imprint::protocol {

enum class IntroductionKind { transaction_number, ticket };
std::string_view name(IntroductionKind kind); // "tan", "ticket"

// Whether this is the selector of either kind, in the one form that goes over the wire: 7 symbols of Crockford's
// alphabet in upper case, or 32 lower-case hexadecimal digits.
bool is_selector(std::string_view text);

// What the station gives out and shows once.
struct IntroductionCode {
    IntroductionKind kind = IntroductionKind::transaction_number;
    std::string selector; // public: it may stand in logs
    Secret secret; // transaction number: its 12 symbols as ASCII, 60 random bits; ticket: 32 bytes
};

IntroductionCode new_transaction_number();
IntroductionCode new_ticket();

// "7Q2MX-41KDP-9T0VH-ZC3RA": selector, secret and check symbol; or a ticket's 96 lower-case hexadecimal digits.
Secret text_of(const IntroductionCode& code);

// What somebody typed. Case, white space and hyphens do not matter; I and L are read as 1, O as 0.
// Refusal(transaction_number_mistyped): not such a number, or the check symbol says that one symbol is wrong or
// that two neighbours are exchanged. The detail does not repeat what was typed.
Result<IntroductionCode> read_transaction_number(std::string_view text);
// Strict. Refusal(invalid_argument).
Result<IntroductionCode> read_ticket(std::string_view text);

// What the station keeps in place of the secret, 32 bytes:
// HKDF-SHA-256(secret, salt empty, info "imprint/1 introduction" ‖ 00 ‖ selector).
Secret verifier_of(const IntroductionCode& code);

// Hello.introduction.proof, 32 bytes: HMAC-SHA256(verifier, "imprint/1 introduction" ‖ 00 ‖ TLS exporter (RFC 9266,
// 32 bytes) ‖ chip identifier ‖ Hello.nonce). Of no use on any other connection, for any other chip.
Bytes introduction_proof(const Secret& verifier, BytesView channel_binding, std::string_view chip_identifier,
                         BytesView nonce);

} // namespace imprint::protocol
