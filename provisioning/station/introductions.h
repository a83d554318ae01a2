// SPDX-License-Identifier: Apache-2.0
// Introductions at the station: giving them out, and what one is good for. The caller keeps a transaction of the store
// around each call.
#pragma once

#include "provisioning/station/store.h"

namespace imprint::station {

// What an introduction is given out for.
struct Terms {
    std::string chip; // good for this one only; empty: for any. A ticket is always for one
    std::optional<pki::DeviceIdentity> identity; // that the chip has, or is to get
    std::chrono::seconds valid{std::chrono::hours(24)}; // at most max_valid
    std::string issuer = "operator";
    std::string reason;
};
inline constexpr std::chrono::seconds max_valid = std::chrono::days(366);

// Entered into the store and, without its secret, into the audit log. The caller shows or sends the text once and keeps
// it nowhere. Throws Error(invalid_argument, or identity_taken where chip and identity cannot come together).
protocol::IntroductionCode issue_transaction_number(Store& store, const Terms& terms, pki::Time now);
protocol::IntroductionCode issue_ticket(Store& store, const Terms& terms, pki::Time now);

// Refusal(transaction_number_used | transaction_number_expired | transaction_number_foreign). A chip goes on with what
// it used itself until the record is here: a Grant or a Backup may have been lost.
Verdict usable_by(const IntroductionEntry& entry, const std::string& chip, pki::Time now);

// For logs: "tan 7Q2MX11 of operator".
std::string described(const IntroductionEntry& entry);

} // namespace imprint::station
