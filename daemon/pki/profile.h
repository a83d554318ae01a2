// SPDX-License-Identifier: Apache-2.0
// The certificate profiles: who may be what. pki.md describes them as prose.
#pragma once

#include "daemon/pki/certificate.h"

#include <optional>

namespace imprint::pki {

// Own OIDs, under one 2.25.UUID arc; extensions are non-critical.
// 2.25.<uuid>.1.n: roles, as extended key usages.   2.25.<uuid>.2.n: extensions of certificates.
enum class Role {
    checking_ca, // manufacturer's checking key: the root, P-384
    identity_ca, // manufacturer's signature key for identity certificates, delegated to a station
    station_signing, // signs module certificates, CRLs and records: a CA with path length 0
    station_tls, // TLS server towards devices, TLS client towards the archive
    archive, // TLS server, signs receipts
    central, // the central system: TLS server towards devices
    station_operator, // TLS client of a station's operations: a courier
    certified_central, // the central system's key as a station certifies it to devices; no server's certificate
    device_identity, // IEEE 802.1AR IDevID: the identity key
    module, // the module key, TLS client
    data_key, // a pair of a data package
    mirror, // TLS client of an archive that may list its records
};
// The role of a cross-certificate (cross.h) stands in no chain and is no Role.
std::string_view role_oid(Role role); // empty for checking_ca, device_identity and module (told by issuer and content)
std::string_view role_name(Role role); // "station-signing"

// What a module certificate carries in its signed part (claim A30 and design, Grant).
struct ModuleBinding {
    Bytes nonce; // the device's, from Hello, 32 bytes
    std::uint64_t epoch = 0; // odd
    Bytes epoch_index_name;
    Bytes storage_key_name;
    std::string chip_identifier;
    friend bool operator==(const ModuleBinding&, const ModuleBinding&) = default;
};

// A device identity: what it is and its value ("imei", "eui48", "eui64", "serial", "uuid").
struct DeviceIdentity {
    std::string kind;
    std::string value;
    friend bool operator==(const DeviceIdentity&, const DeviceIdentity&) = default;
};
// Of a known kind and in its canonical form (identity.h); otherwise Refusal(invalid_argument).
Verdict check(const DeviceIdentity& identity);

// Read back from certificates; nothing where the extension is missing or not strictly encoded.
std::optional<ModuleBinding> module_binding(const Certificate& certificate);
std::optional<std::string> chip_identifier(const Certificate& certificate); // identity certificates
std::optional<DeviceIdentity> device_identity(const Certificate& certificate); // from the SAN; both kinds

} // namespace imprint::pki
