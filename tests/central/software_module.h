// SPDX-License-Identifier: Apache-2.0
// A personalized device whose keys are in software, for tests of the central system.
#pragma once

#include "provisioning/central/transaction_keys.h"
#include "tests/central/client.h"

#include <tss2/tss2_tpm2_types.h>

namespace imprint::test {

class SoftwareModule {
public:
    // The chip identifier follows from the serial number. The station is the TestPki's, or `station`.
    SoftwareModule(const TestPki& pki, const std::string& serial, std::uint64_t epoch = 3,
                   pki::Validity validity = valid, const Certified* station = nullptr);

    ClientSettings settings() const; // with the certificate
    ClientSettings settings(const central::NewKey& key) const; // ... and a PSK with a fresh identity

    TPMT_PUBLIC storage_key;
    std::string serial;
    std::string chip;
    pki::ModuleBinding binding;
    Certified module;
    pki::Certificates issuers; // the station's signing certificate

    pki::Certificates chain() const { return {module.certificate, issuers.front()}; }
    central::Peer peer() const { return central::peer_of(module.certificate, central::Means::certificate).or_throw(); }
};

// A fresh PSK of a transaction key.
Psk psk_of(const central::NewKey& key);
central::NewKey copy(const central::NewKey& key);

} // namespace imprint::test
