// SPDX-License-Identifier: Apache-2.0
// Makes certificates and CRLs by the profiles of profile.h.
#pragma once

#include "daemon/pki/certificate.h"
#include "daemon/pki/key.h"
#include "daemon/pki/scope.h"

namespace imprint::pki {

struct Validity {
    Time not_before;
    Time not_after; // Time::max(): 99991231235959Z (RFC 5280)
};

// Who signs: a CA's certificate with its key. Borrowed.
struct Issuer {
    const Certificate& certificate;
    EVP_PKEY* key;
};

// The next checking key, certified by the present one, under the name of its own root: a link certificate.
Certificate issue_link(const Issuer& present, const Certificate& next);
Certificate issue_checking_ca(EVP_PKEY* key, const std::string& common_name, Validity validity);
// identity_ca and station_signing (CAs, for the identities of `scope`), station_tls, archive and central (servers;
// names become dNSName or iPAddress SANs), station_operator and mirror (clients).
Certificate issue_ca(const Issuer& issuer, BytesView spki, Role role, const std::string& common_name, Validity validity,
                     const Scope& scope = {});
Certificate issue_server(const Issuer& issuer, BytesView spki, Role role, const std::string& common_name,
                         const std::vector<std::string>& names, Validity validity);
Certificate issue_client(const Issuer& issuer, BytesView spki, Role role, const std::string& common_name,
                         Validity validity);
// The central system's key, by a station's signing key: an entry of a central set.
Certificate issue_certified_central(const Issuer& issuer, BytesView spki, const std::string& common_name,
                                    Validity validity);
// A station's signing key, by the central system's key, whose certificate is no CA's (claim A27, cross.h).
Certificate issue_cross_certificate(const Issuer& central, const Certificate& station_signing, Validity validity);
// IEEE 802.1AR: SAN HardwareModuleName, policies of the TCG profile, chip identifier extension, never expires.
Certificate issue_identity(const Issuer& issuer, BytesView spki, const DeviceIdentity& identity,
                           const std::string& chip_identifier);
Certificate issue_module(const Issuer& issuer, BytesView spki, const DeviceIdentity& identity,
                         const ModuleBinding& binding, Validity validity);

// What a key of a data package is for. Decryption is with RSA, agreement with an elliptic curve.
enum class DataKeyUse { sign, decrypt, agree };
// Such a key's, under the device's identity; the label in the package becomes its organizational unit.
Certificate issue_data_key(const Issuer& issuer, BytesView spki, const DeviceIdentity& identity,
                           const std::string& label, DataKeyUse use, Validity validity);

struct Revoked {
    std::string serial; // lower-case hex
    Time when;
};
// What a CRL says; nothing of it is verified.
std::vector<Revoked> revoked_by(const Crl& crl);
std::uint64_t number_of(const Crl& crl); // 0 if it has none
Crl issue_crl(const Issuer& issuer, std::uint64_t number, const std::vector<Revoked>& revoked, Validity validity);

} // namespace imprint::pki
