// SPDX-License-Identifier: Apache-2.0
// The archive's database: records are added and never changed; a device identity belongs to one chip for ever.
#pragma once

#include "daemon/base/error.h"
#include "daemon/pki/profile.h"

#include <filesystem>
#include <functional>
#include <memory>

namespace imprint::archive {

// Whose records they are: chip, device identity and identity key belong together one to one.
struct Owner {
    std::string chip_identifier;
    pki::DeviceIdentity identity;
    Bytes key_digest; // SHA-256 over the identity key's SubjectPublicKeyInfo
    friend bool operator==(const Owner&, const Owner&) = default;
};

struct Entry {
    Owner owner;
    std::uint64_t sequence = 0;
    pki::Time time; // of acceptance
    Bytes record;
    Bytes receipt;
};

struct Added {
    bool fresh; // false: the very record was there already
    Bytes receipt; // the one that is stored
};

// One connection to the database, for one thread at a time. Everything throws Error(storage_failed) when SQLite fails.
class Store {
public:
    // Creates the database where there is none.
    explicit Store(const std::filesystem::path& path);
    ~Store();

    std::optional<Entry> find(const std::string& chip_identifier, std::uint64_t sequence);
    std::optional<Entry> newest(const std::string& chip_identifier); // the highest sequence
    // All records (of one chip, if it is not empty) by chip and sequence; stops when the visitor returns false.
    void visit(const std::string& chip_identifier, const std::function<bool(const Entry&)>& visitor);

    // Durable when it returns. Refusal(sequence_taken) for other bytes under the same chip and sequence,
    // Refusal(identity_taken) if the identity has another chip or the chip another identity, Refusal(key_mismatch) if
    // the chip's identity key is another one.
    Result<Added> add(const Entry& entry);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace imprint::archive
