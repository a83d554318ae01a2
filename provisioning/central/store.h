// SPDX-License-Identifier: Apache-2.0
// What the central system remembers, in SQLite: of every chip the newest epoch, the transaction keys in force (sealed),
// and the revocation lists in force. Every change is one commit, and durable when its call returns.
#pragma once

#include "daemon/pki/profile.h"
#include "provisioning/central/certificate_name.h"

#include <SQLiteCpp/SQLiteCpp.h>

#include <filesystem>
#include <optional>

namespace imprint::central {

// A transaction key as it is kept.
struct StoredKey {
    Bytes id;
    std::string chip;
    std::uint64_t epoch = 0;
    pki::DeviceIdentity identity;
    pki::Time made, rotate_after, not_after;
    CertificateName module, station; // the certificate under which it was made, and that one's issuer
    Bytes sealed;
};

// A revocation list that is in force.
struct StoredList {
    Bytes issuer; // SHA-256 of the signer's SubjectPublicKeyInfo
    std::uint64_t number = 0;
    std::string path; // the file that it came from
    Bytes crl; // DER
};

class Store {
public:
    // Throws Error(storage_failed), as all of its calls do.
    explicit Store(const std::filesystem::path& path);

    // --- chips
    // A device was authenticated with this epoch. Refusal(certificate_outdated) if a newer one is known. A newer one is
    // remembered, and the keys of older ones end.
    Verdict admit(const std::string& chip, std::uint64_t epoch);

    // Whether admit() would have nothing to do.
    bool is_newest(const std::string& chip, std::uint64_t epoch);

    // --- transaction keys
    // Adds it beside the chip's newest one; older ones end, and so do expired ones. Refusal(certificate_outdated) if a
    // newer epoch is known.
    Verdict add(const StoredKey& key);
    std::optional<StoredKey> find(BytesView id);
    std::vector<StoredKey> keys(); // by chip, then by age
    std::size_t remove_keys(const std::string& chip); // how many there were
    void remove_expired(pki::Time now);

    // --- revocation lists
    std::vector<StoredList> lists();
    void keep(const StoredList& list); // in place of its issuer's

    // Proves that a storage key is the one that the keys are sealed with; empty before the first start.
    Bytes seal_check();
    void set_seal_check(BytesView check);

private:
    std::optional<std::uint64_t> newest_epoch(const std::string& chip);
    void run(const char* sql, const std::string& chip, std::int64_t number);

    SQLite::Database database_;
    SQLite::Statement find_, epoch_; // prepared: every connection asks
};

} // namespace imprint::central
