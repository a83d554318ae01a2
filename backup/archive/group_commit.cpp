// SPDX-License-Identifier: Apache-2.0
#include "backup/archive/group_commit.h"

#include <iterator>
#include <utility>

namespace imprint::archive {

GroupCommit::GroupCommit(std::unique_ptr<Store> reader, std::unique_ptr<Store> writer)
    : reader_(std::move(reader))
    , writer_(std::move(writer))
{
}

std::optional<Entry> GroupCommit::find(const std::string& chip_identifier, std::uint64_t sequence)
{
    const std::lock_guard lock(reading_);
    return reader_->find(chip_identifier, sequence);
}

std::optional<Published> GroupCommit::read(const std::string& chip_identifier, std::optional<std::uint64_t> sequence)
{
    const std::lock_guard lock(reading_);
    return reader_->read(chip_identifier, sequence);
}

void GroupCommit::visit(const std::string& chip_identifier, const std::function<bool(const Entry&)>& visitor)
{
    const std::lock_guard lock(reading_);
    reader_->visit(chip_identifier, visitor);
}

std::optional<Replacement> GroupCommit::replacement_by(const std::string& chip)
{
    const std::lock_guard lock(reading_);
    return reader_->replacement_by(chip);
}

std::optional<Replacement> GroupCommit::replacement_of(const std::string& chip)
{
    const std::lock_guard lock(reading_);
    return reader_->replacement_of(chip);
}

std::vector<Listed> GroupCommit::list(std::uint64_t after, std::size_t limit)
{
    const std::lock_guard lock(reading_);
    return reader_->list(after, limit);
}

std::vector<ListedReplacement> GroupCommit::list_replacements(std::uint64_t after, std::size_t limit)
{
    const std::lock_guard lock(reading_);
    return reader_->list_replacements(after, limit);
}

// The first who comes while nobody commits does it for all who are there.
std::vector<Result<Added>> GroupCommit::add_all(std::span<const Entry> entries)
{
    Job job{entries, {}, std::nullopt, false};
    std::unique_lock lock(mutex_);
    waiting_.push_back(&job);
    changed_.wait(lock, [&] { return job.done || !committing_; });
    if (!job.done) {
        committing_ = true;
        const auto batch = std::exchange(waiting_, {});
        lock.unlock();
        commit(batch);
        lock.lock();
        for (auto* one : batch)
            one->done = true;
        let_next(lock);
    }
    if (job.failure)
        throw Error(*job.failure);
    return std::move(job.results);
}

Result<bool> GroupCommit::add_replacement(const Replacement& replacement)
{
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !committing_; });
    committing_ = true;
    lock.unlock();
    Result<bool> added = Refusal{Reason::internal, "nothing was added"};
    std::optional<Refusal> failure;
    try {
        added = writer_->add_replacement(replacement);
    } catch (const Error& error) {
        failure = error.refusal();
    }
    lock.lock();
    let_next(lock);
    if (failure)
        throw Error(*failure);
    return added;
}

void GroupCommit::let_next(std::unique_lock<std::mutex>& lock)
{
    committing_ = false;
    lock.unlock();
    changed_.notify_all();
}

void GroupCommit::commit(const std::vector<Job*>& batch)
{
    try {
        std::vector<Entry> entries;
        for (const auto* job : batch)
            entries.insert(entries.end(), job->entries.begin(), job->entries.end());
        auto results = writer_->add_all(entries);
        auto next = std::make_move_iterator(results.begin());
        for (auto* job : batch) {
            const auto last = next + static_cast<std::ptrdiff_t>(job->entries.size());
            job->results.assign(next, last);
            next = last;
        }
    } catch (const Error& error) {
        for (auto* job : batch)
            job->failure = error.refusal();
    } catch (const std::exception& error) {
        for (auto* job : batch)
            job->failure = Refusal{Reason::internal, error.what()};
    }
}

} // namespace imprint::archive
