// SPDX-License-Identifier: Apache-2.0
// The archive's database: records are added and never changed; a device identity belongs to one chip, until a
// replacement is added, too.
#pragma once

#include "backup/archive/ownership.h"

#include <filesystem>
#include <functional>
#include <memory>

namespace imprint::archive {

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

    // Durable when it returns. Refusal(sequence_taken) for other bytes under the same chip and sequence, and what
    // judge_owner() refuses.
    Result<Added> add(const Entry& entry);

    std::optional<Replacement> replacement_by(const std::string& chip_identifier); // whose place the chip took
    std::optional<Replacement> replacement_of(const std::string& chip_identifier); // what took the chip's place
    void visit_replacements(const std::function<bool(const Replacement&)>& visitor); // all, the oldest first
    // Durable when it returns; false: the very statement was there already. Refuses what judge_replacement() does.
    Result<bool> add_replacement(const Replacement& replacement);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace imprint::archive
