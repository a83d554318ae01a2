// SPDX-License-Identifier: Apache-2.0
// One sync of the disk for everybody who waits for one: what several threads add at the same time becomes one
// transaction. Nobody waits for company: a batch is what came while the last one was being committed.
#pragma once

#include "backup/archive/store.h"

#include <condition_variable>
#include <mutex>

namespace imprint::archive {

// A store for any number of threads.
class GroupCommit : public Store {
public:
    // Two connections to one database.
    GroupCommit(std::unique_ptr<Store> reader, std::unique_ptr<Store> writer);

    std::optional<Entry> find(const std::string& chip_identifier, std::uint64_t sequence) override;
    std::optional<Published> read(const std::string& chip_identifier, std::optional<std::uint64_t> sequence) override;
    void visit(const std::string& chip_identifier, const std::function<bool(const Entry&)>& visitor) override;
    std::vector<Listed> list(std::uint64_t after, std::size_t limit) override;
    std::optional<Replacement> replacement_by(const std::string& chip) override;
    std::optional<Replacement> replacement_of(const std::string& chip) override;
    std::vector<ListedReplacement> list_replacements(std::uint64_t after, std::size_t limit) override;

    // Returns when the transaction is durable. Where that fails, all of the batch get the Error.
    std::vector<Result<Added>> add_all(std::span<const Entry> entries) override;
    Result<bool> add_replacement(const Replacement& replacement) override;

private:
    struct Job {
        std::span<const Entry> entries;
        std::vector<Result<Added>> results;
        std::optional<Refusal> failure;
        bool done = false;
    };
    void commit(const std::vector<Job*>& batch);
    void let_next(std::unique_lock<std::mutex>& lock);

    std::mutex reading_; // guards reader_
    std::unique_ptr<Store> reader_;
    std::unique_ptr<Store> writer_; // of whoever commits
    std::mutex mutex_; // guards the next two, and what becomes of jobs
    std::vector<Job*> waiting_;
    bool committing_ = false;
    std::condition_variable changed_;
};

} // namespace imprint::archive
