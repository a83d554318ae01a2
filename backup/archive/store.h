// SPDX-License-Identifier: Apache-2.0
// The archive's database: records are added and never changed; a device identity belongs to one chip, until a
// replacement is added, too. Which database it is, a URL tells.
#pragma once

#include "backup/archive/ownership.h"

#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <vector>

namespace imprint::archive {

struct Entry {
    Owner owner;
    std::uint64_t sequence = 0;
    pki::Time time; // of acceptance
    Bytes record;
    Bytes receipt;
    Bytes digest = {}; // SHA-256 over the record, as the database made it: nobody has to when an entry is added
};

// What is given to everybody who asks.
struct Published {
    std::uint64_t sequence = 0;
    Bytes digest; // SHA-256 over the record
    Bytes record;
};

// As lists have it: `number` is this database's own, and rises from record to record.
struct Listed {
    std::uint64_t number = 0;
    std::string chip;
    std::uint64_t sequence = 0;
    Bytes digest; // SHA-256 over the record
};
struct ListedReplacement {
    std::uint64_t number = 0;
    Replacement replacement;
};

struct Added {
    bool fresh; // false: the very record was there already
    Bytes receipt; // the one that is stored
};

// One connection to the database, for one thread at a time. Everything throws Error(storage_failed) when the database
// fails; the next call tries anew.
class Store {
public:
    Store() = default;
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;
    virtual ~Store() = default;

    virtual std::optional<Entry> find(const std::string& chip_identifier, std::uint64_t sequence) = 0;
    // Without a sequence the one with the highest.
    virtual std::optional<Published> read(const std::string& chip_identifier,
                                          std::optional<std::uint64_t> sequence) = 0;
    // All records (of one chip, if it is not empty) by chip and sequence; stops when the visitor returns false.
    virtual void visit(const std::string& chip_identifier, const std::function<bool(const Entry&)>& visitor) = 0;
    // What has a higher number than `after`, in order, at most so many. What several archives add to one database at
    // the same time may appear in another order than it is numbered: a list from 0 on has all of it, later.
    virtual std::vector<Listed> list(std::uint64_t after, std::size_t limit) = 0;

    // Adds all of them in one transaction, in their order; what the results say is durable when it returns. After an
    // Error nobody knows whether they were added: adding the same again is safe, and tells.
    // A refusal is of one entry and leaves the others alone: sequence_taken for other bytes under the same chip and
    // sequence, what judge_owner() refuses, record_invalid for what breaks the schema.
    virtual std::vector<Result<Added>> add_all(std::span<const Entry> entries) = 0;
    Result<Added> add(const Entry& entry) { return std::move(add_all({&entry, 1}).front()); }

    virtual std::optional<Replacement> replacement_by(const std::string& chip) = 0; // whose place the chip took
    virtual std::optional<Replacement> replacement_of(const std::string& chip) = 0; // what took the chip's place
    virtual std::vector<ListedReplacement> list_replacements(std::uint64_t after, std::size_t limit) = 0;
    void visit_replacements(const std::function<bool(const Replacement&)>& visitor); // the oldest first
    // Durable when it returns; false: the very statement was there already. Refuses what judge_replacement() does.
    virtual Result<bool> add_replacement(const Replacement& replacement) = 0;

protected:
    // Databases count with a sign.
    static bool in_range(std::uint64_t sequence) { return sequence <= std::numeric_limits<std::int64_t>::max(); }
    // `stored` has the entry's chip and sequence.
    static Result<Added> known_already(Entry stored, const Entry& entry);
};

enum class Opening {
    make, // makes or migrates what is not there yet
    existing, // Error(not_configured) if there is none: for those who only look
};

// `url`: a path, sqlite:PATH or postgresql://... as libpq has it, without a password.
std::unique_ptr<Store> open_store(const std::string& url, Opening opening = Opening::make);

} // namespace imprint::archive
