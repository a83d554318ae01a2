// SPDX-License-Identifier: Apache-2.0
// The kinds of device identity, and the forms in which people write them. Inside the project an identity has one form,
// its canonical one, which check() of profile.h demands; only where a person types it other forms are taken.
#pragma once

#include "daemon/pki/profile.h"

namespace imprint::pki {

inline constexpr std::string_view imei_kind = "imei"; // 15 digits
inline constexpr std::string_view eui48_kind = "eui48"; // 00:1b:44:11:3a:b7
inline constexpr std::string_view eui64_kind = "eui64"; // 00:1b:44:ff:fe:11:3a:b7
inline constexpr std::string_view serial_kind = "serial"; // printable ASCII, 1 to 64 characters
inline constexpr std::string_view uuid_kind = "uuid"; // f81d4fae-7dec-11d0-a765-00a0c91e6bf6

// The canonical form of what somebody wrote: an IMEI with spaces, hyphens, dots or a slash; an EUI in upper case, in
// pairs with hyphens, in fours with dots, without anything; a UUID in upper case, in braces, without hyphens, as a URN.
// A serial number stays as it is. Refusal(invalid_argument).
Result<DeviceIdentity> normalize(const DeviceIdentity& written);
// The same for "KIND:VALUE".
Result<DeviceIdentity> parse_identity(std::string_view text);

// For X.509 names (PermanentIdentifier, RFC 4043): who assigned it, by its kind. Of a known kind only.
std::string assigner_of(std::string_view kind);

// The last digit of an IMEI, by Luhn's formula over the 14 digits before it (3GPP TS 23.003, annex B).
char imei_check_digit(std::string_view digits);

} // namespace imprint::pki
