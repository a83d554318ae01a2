// SPDX-License-Identifier: Apache-2.0
// Device identities that follow one upon the other, to be given in their order; free of the database.
#pragma once

#include "daemon/pki/identity.h"

#include <cstdint>
#include <string>

namespace imprint::station {

// Numbers from `first` to `last`, written with `width` digits behind `prefix`. For serial numbers prefix and width are
// the operator's choice. An IMEI has its type allocation code as prefix and 6 digits behind it, then the check digit;
// an EUI the 6 digits of its first three octets, and 6 or 10 hexadecimal ones.
struct IdentityRange {
    std::string kind{pki::serial_kind};
    std::string prefix;
    unsigned width = 0;
    std::uint64_t first = 0, last = 0;
};

// Otherwise Refusal(invalid_argument).
Verdict check(const IdentityRange& range);

// From one identity to another of the same kind, in any form that pki::normalize() takes; IMEIs with or without their
// check digits. Both begin alike: with one type allocation code, or with the same three octets.
// Refusal(invalid_argument), also for kinds that follow no order.
Result<IdentityRange> range_between(const std::string& kind, const std::string& first, const std::string& last);

pki::DeviceIdentity identity_at(const IdentityRange& range, std::uint64_t number);

// Whether some identity is in both.
bool overlap(const IdentityRange& one, const IdentityRange& other);

} // namespace imprint::station
