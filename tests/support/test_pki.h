// SPDX-License-Identifier: Apache-2.0
// A complete manufacturer in memory: every certificate that a test may need, and its wrong twins.
#pragma once

#include "daemon/pki/issue.h"
#include "daemon/pki/verify.h"

namespace imprint::test {

// All certificates of TestPki hold from 2020 to 2100: for the tests' own time and for the clock of real programs.
constexpr pki::Time at(int year) { return std::chrono::sys_days(std::chrono::year(year) / 1 / 1); }
inline constexpr pki::Time now = at(2030);
inline constexpr pki::Validity valid{at(2020), at(2100)};
inline constexpr pki::Validity expired{at(2020), at(2021)};
inline constexpr pki::Validity not_yet_valid{at(2090), at(2100)};

// Another owner of the same key.
pki::Key share(const pki::Key& key);

// A certificate with its private key.
struct Certified {
    pki::Key key;
    pki::Certificate certificate;
    pki::Issuer issuer() const { return {certificate, key.get()}; }
};

class TestPki {
public:
    // Two of the same name are foreign twins: the same names, other keys.
    explicit TestPki(const std::string& manufacturer = "Example Manufacturer");

    pki::Trust trust() const; // checking CA, and the identity CA as intermediate
    Bytes trust_pem() const; // the same as the device's bundle
    Bytes trust_pem_with(const TestPki& other) const; // of whoever trusts two manufacturers

    // Further certificates of this manufacturer, also unfit ones.
    Certified ca(pki::Role role, const std::string& name, pki::Validity validity = valid,
                 const pki::Scope& scope = {}) const;
    Certified server(pki::Role role, const std::string& name, pki::Validity validity = valid) const;
    Certified client(pki::Role role, const std::string& name, pki::Validity validity = valid) const;
    Certified station_operator(const std::string& name, pki::Validity validity = valid) const
    {
        return client(pki::Role::station_operator, name, validity);
    }
    Certified mirror(const std::string& name, pki::Validity validity = valid) const
    {
        return client(pki::Role::mirror, name, validity);
    }
    // A client certificate and key by the station's signing key; the chip identifier in it is 64 times "a".
    Certified module(const std::string& serial, pki::Validity validity = valid) const;
    Certified identity(const std::string& serial, const std::string& chip_identifier) const;
    pki::Crl crl(const pki::Certificate& revoked) const; // by the checking CA
    pki::Crl station_crl(const pki::Certificate& revoked) const; // by the station's signing key

    Certified root; // checking key, P-384
    Certified identity_ca;
    Certified station_signing;
    Certified station_tls; // for localhost, 127.0.0.1 and ::1
    Certified archive; // the same
};

} // namespace imprint::test
