// SPDX-License-Identifier: Apache-2.0
// The device's files in its state directory: written whole and durably, read strictly. files.md describes them.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/lifecycle/files.pb.h"
#include "daemon/lifecycle/state.h"

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace imprint::lifecycle {

inline constexpr std::uint32_t file_version = 1;
inline constexpr std::size_t max_file = 1024 * 1024; // bytes of one file

// Everything that the directory holds.
struct Content {
    std::optional<Chip> chip;
    std::map<std::uint64_t, Personalization> personalizations; // by sequence
    std::optional<Personalization> recovered;
    // What could not be read, one sentence a file. Such a file counts as missing, and only Recover, Restore,
    // EnterPersonalization or a later switch replaces it.
    std::vector<std::string> damaged;
    std::vector<std::uint64_t> damaged_sequences; // whose personalizations are among these

    // The personalization of this odd epoch with its receipt, or nullptr.
    const Personalization* complete(std::uint64_t sequence) const;
    // The newest one with its receipt; else what a recovery left; else nullptr.
    const Personalization* newest() const;
};

// What judge() asks of the files.
Files summary(const Content& content);

class Store {
public:
    explicit Store(std::filesystem::path directory);

    // Throws Error(storage_failed) if the directory itself cannot be read; a missing one is empty.
    Content load() const;
    // One file of it; nothing if it is not there. Throws Error(storage_failed) if it is damaged.
    std::optional<Personalization> personalization(std::uint64_t sequence) const;
    // None where there is no such file, or a damaged one: what it held is made anew.
    TransactionKeys transaction_keys(std::uint64_t sequence) const;

    // Durable when they return. Error(storage_failed) leaves the old file.
    void save(Chip chip) const;
    void save(Personalization personalization) const;
    void save(TransactionKeys keys) const;
    void save_recovered(Personalization personalization) const;

    // The personalizations and recovered.pb that could not be read, once they are given up.
    void remove_damaged(const Content& content) const;
    // After a TPM2_Clear that ended its keys, too.
    void remove_recovered() const;
    void remove_transaction_keys(std::uint64_t sequence) const;
    // After a switch to the odd epoch `sequence`: removes the files of all earlier epochs and recovered.pb.
    void remove_dead(std::uint64_t sequence) const;

private:
    std::filesystem::path directory_;
};

} // namespace imprint::lifecycle
