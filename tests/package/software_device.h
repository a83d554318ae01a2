// SPDX-License-Identifier: Apache-2.0
// A device whose keys are in software: for tests of the formats, not of the TPM.
#pragma once

#include "backup/package/backup_package.h"
#include "backup/package/record.h"
#include "tests/support/test_pki.h"

#include <tss2/tss2_tpm2_types.h>

namespace imprint::test {

// A P-256 storage key as a chip has it, made in software.
TPMT_PUBLIC software_storage_key();

class SoftwareDevice {
public:
    // The chip identifier follows from the serial number.
    SoftwareDevice(const TestPki& pki, const std::string& serial);
    // Another chip that claims the same serial number.
    SoftwareDevice(const TestPki& pki, const std::string& serial, const std::string& chip_identifier);

    package::DataPackage data_package(std::uint64_t sequence) const; // one ECC key, one HMAC key
    package::BackupContent backup_content(std::uint64_t sequence) const;
    package::RecordContent record_content(std::uint64_t sequence) const;
    Bytes device_record(std::uint64_t sequence) const; // signed by the identity key
    Bytes device_record(const package::RecordContent& content) const;
    Bytes record(std::uint64_t sequence) const; // and by the station of the TestPki

    const TestPki& pki;
    std::string serial;
    std::string chip;
    Certified identity;
    TPMT_PUBLIC storage_key;
    Secret secret; // of the backup packages
};

} // namespace imprint::test
