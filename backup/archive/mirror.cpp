// SPDX-License-Identifier: Apache-2.0
#include "backup/archive/mirror.h"

#include "backup/archive/holders.h"
#include "backup/archive/ingest.h"
#include "backup/archive/parallel.h"
#include "backup/package/replacement.h"

#include <map>

namespace imprint::archive {

namespace {

constexpr std::size_t batch_size = 128; // of records of at most 256 KiB each

// Gathers items and hands them on in batches.
template <class T>
class Batches {
public:
    using Take = std::function<void(std::vector<T>&)>;
    explicit Batches(Take take)
        : take_(std::move(take))
    {
    }
    void add(T item)
    {
        batch_.push_back(std::move(item));
        if (batch_.size() == batch_size)
            flush();
    }
    void flush()
    {
        take_(batch_);
        batch_.clear();
    }

private:
    Take take_;
    std::vector<T> batch_;
};

// What a batch of a source's records proves to be, in order; what proves nothing is a fault.
std::vector<Entry> fetch(Source& source, const std::vector<Listed>& wanted, const Work& work, Summary& summary)
{
    const auto copies = source.fetch(wanted);
    std::vector<Result<Entry>> proved(copies.size(), Refusal{Reason::internal, "it was not proved"});
    in_parallel(copies.size(), work.jobs, [&](std::size_t i) {
        proved[i] = copies[i]
            ? prove(copies[i]->chip, copies[i]->sequence, copies[i]->record, copies[i]->receipt, work.trust)
            : copies[i].refusal();
    });
    std::vector<Entry> good;
    for (std::size_t i = 0; i < proved.size(); ++i)
        if (proved[i])
            good.push_back(*std::move(proved[i]));
        else
            summary.faults.push_back({wanted[i].chip, wanted[i].sequence, proved[i].refusal()});
    return good;
}

Refusal differs() { return {Reason::sequence_taken, "the target has something else here; it was left alone"}; }

// Whether it is to be copied: `there` is what the target has.
bool is_missing(const Replacement& replacement, const std::optional<Bytes>& there, const Work& work, Summary& summary)
{
    ++summary.replacements;
    if (there) {
        if (*there != replacement.statement)
            summary.faults.push_back({replacement.present, {}, differs()});
        return false;
    }
    const Verdict proved = verify(replacement, work.trust);
    if (!proved)
        summary.faults.push_back({replacement.present, {}, proved.refusal()});
    return bool(proved);
}

bool is_missing(const Listed& listed, const std::optional<Bytes>& there, Summary& summary)
{
    ++summary.records;
    if (there && package::record_digest(*there) != listed.digest)
        summary.faults.push_back({listed.chip, listed.sequence, differs()});
    return !there;
}

class DatabaseCopy {
public:
    DatabaseCopy(Source& source, Store& target, const Work& work, bool dry_run)
        : source_(source)
        , target_(target)
        , work_(work)
        , dry_run_(dry_run)
        , missing_([this](const std::vector<Listed>& batch) { copy(batch); })
    {
    }

    // A former chip's records come before the replacement, and the new chip's after it: the rules of the target are
    // those of every archive.
    void run()
    {
        const auto replacements = source_.replacements();
        std::map<std::string, std::vector<Listed>> later;
        for (const auto& one : replacements)
            later[one.present];
        source_.visit([&](const Listed& listed) {
            if (const auto found = later.find(listed.chip); found != later.end())
                found->second.push_back(listed);
            else
                look_at(listed);
        });
        missing_.flush();
        for (const auto& one : replacements)
            replace(one, std::move(later[one.present]));
    }

    Summary summary;

private:
    void look_at(const Listed& listed)
    {
        const auto there = target_.find(listed.chip, listed.sequence);
        if (is_missing(listed, there ? std::optional(there->record) : std::nullopt, summary))
            missing_.add(listed);
    }
    void copy(const std::vector<Listed>& batch)
    {
        const auto entries = fetch(source_, batch, work_, summary);
        if (dry_run_)
            summary.copied += entries.size();
        else if (!entries.empty())
            add(entries);
        work_.progress(summary);
    }
    void add(const std::vector<Entry>& entries)
    {
        const auto results = target_.add_all(entries);
        for (std::size_t i = 0; i < entries.size(); ++i)
            if (results[i])
                ++summary.copied;
            else
                summary.faults.push_back({entries[i].owner.chip_identifier, entries[i].sequence, results[i].refusal()});
    }
    void replace(const Replacement& replacement, const std::vector<Listed>& records)
    {
        const auto there = target_.replacement_by(replacement.present);
        if (is_missing(replacement, there ? std::optional(there->statement) : std::nullopt, work_, summary)) {
            const Result<bool> added = dry_run_ ? Result<bool>(true) : target_.add_replacement(replacement);
            if (added)
                ++summary.copied;
            else
                summary.faults.push_back({replacement.present, {}, added.refusal()});
        }
        for (const auto& listed : records)
            look_at(listed);
        missing_.flush();
    }

    Source& source_;
    Store& target_;
    const Work& work_;
    bool dry_run_;
    Batches<Listed> missing_;
};

// The record as its receipt says that it was accepted, if the two are there and prove each other.
Result<Entry> prove_in(const StaticMirror& mirror, const std::string& chip, std::uint64_t sequence,
                       const pki::Trust& trust)
try {
    const auto record = mirror.record(chip, sequence), receipt = mirror.receipt(chip, sequence);
    if (!record || !receipt)
        return Refusal{Reason::record_not_found, record ? "its receipt is missing" : "the record is missing"};
    return prove(chip, sequence, *record, *receipt, trust);
} catch (const Error& error) {
    return error.refusal();
}

Verdict prove_newest(const StaticMirror& mirror, const std::string& chip, std::uint64_t sequence)
try {
    const auto newest = mirror.newest(chip);
    if (newest && newest == mirror.record(chip, sequence))
        return accepted();
    return Refusal{Reason::newest_unproven,
                   newest ? "`newest` is not this record, the one with the highest sequence" : "`newest` is missing"};
} catch (const Error& error) {
    return error.refusal();
}

// The statement under this name, if it proves itself; it joins its chips.
Verdict prove_replacement(const StaticMirror& mirror, const std::string& chip, const pki::Trust& trust,
                          Holders& holders)
try {
    const auto statement = package::open_replacement(mirror.replacement(chip).value_or(Bytes{}), trust, std::nullopt);
    if (!statement)
        return statement.refusal();
    if (statement->present != chip)
        return Refusal{Reason::record_foreign, "the replacement is by another chip"};
    holders.join(statement->former, chip, statement->identity);
    return accepted();
} catch (const Error& error) {
    return error.refusal();
}

void note(Summary& summary, const std::string& chip, std::optional<std::uint64_t> sequence, const Verdict& verdict)
{
    if (!verdict)
        summary.faults.push_back({chip, sequence, verdict.refusal()});
}

void note_strangers(Summary& summary, const Holders& holders)
{
    for (const auto& chip : holders.strangers())
        summary.faults.push_back(
            {chip, {}, {Reason::identity_taken, "another chip has its identity, and no replacement joins the two"}});
}

} // namespace

Summary verify(Store& store, const Work& work)
{
    Summary summary;
    Holders holders;
    Batches<Entry> batches([&](const std::vector<Entry>& batch) {
        std::vector<Verdict> verdicts(batch.size(), accepted());
        in_parallel(batch.size(), work.jobs, [&](std::size_t i) { verdicts[i] = verify(batch[i], work.trust); });
        for (std::size_t i = 0; i < batch.size(); ++i) {
            const Owner& owner = batch[i].owner;
            note(summary, owner.chip_identifier, batch[i].sequence, verdicts[i]);
            if (verdicts[i])
                holders.add(owner.chip_identifier, owner.identity);
        }
        work.progress(summary);
    });
    store.visit({}, [&](const Entry& entry) {
        ++summary.records;
        batches.add(entry);
        return true;
    });
    batches.flush();
    store.visit_replacements([&](const Replacement& replacement) {
        ++summary.replacements;
        const Verdict verdict = verify(replacement, work.trust);
        note(summary, replacement.present, {}, verdict);
        if (verdict)
            holders.join(replacement.former, replacement.present, replacement.identity);
        return true;
    });
    note_strangers(summary, holders);
    return summary;
}

Summary verify(const StaticMirror& mirror, const Work& work)
{
    Summary summary;
    Holders holders;
    const auto names = mirror.names();
    for (std::size_t from = 0; from < names.entries.size(); from += batch_size) {
        const std::size_t count = std::min(batch_size, names.entries.size() - from);
        std::vector<Result<Entry>> proved(count, Refusal{Reason::internal, "it was not proved"});
        in_parallel(count, work.jobs, [&](std::size_t i) {
            const auto& [chip, sequence] = names.entries[from + i];
            proved[i] = prove_in(mirror, chip, sequence, work.trust);
        });
        for (std::size_t i = 0; i < count; ++i) {
            const auto& [chip, sequence] = names.entries[from + i];
            if (proved[i])
                holders.add(chip, proved[i]->owner.identity);
            else
                summary.faults.push_back({chip, sequence, proved[i].refusal()});
        }
        summary.records += count;
        work.progress(summary);
    }
    std::map<std::string, std::uint64_t> last;
    for (const auto& [chip, sequence] : names.entries)
        last[chip] = sequence; // they are in order
    for (const auto& [chip, sequence] : last)
        note(summary, chip, sequence, prove_newest(mirror, chip, sequence));
    for (const auto& chip : names.replacements)
        note(summary, chip, {}, prove_replacement(mirror, chip, work.trust, holders));
    summary.replacements = names.replacements.size();
    note_strangers(summary, holders);
    for (const auto& path : names.strange)
        summary.faults.push_back({path, {}, {Reason::invalid_argument, "this does not belong into a mirror"}});
    return summary;
}

Summary mirror(Source& source, const StaticMirror& target, const Work& work, bool dry_run)
{
    Summary summary;
    std::map<std::string, std::uint64_t> last; // of each chip, in this batch or there already
    Batches<Listed> missing([&](const std::vector<Listed>& batch) {
        const auto entries = fetch(source, batch, work, summary);
        summary.copied += entries.size();
        for (const auto& entry : entries) {
            if (!dry_run)
                target.add(entry);
            last[entry.owner.chip_identifier] = std::max(last[entry.owner.chip_identifier], entry.sequence);
        }
        for (const auto& [chip, sequence] : last)
            if (!dry_run)
                target.settle(chip, sequence);
        last.clear();
        work.progress(summary);
    });
    source.visit([&](const Listed& listed) {
        const auto there = target.record(listed.chip, listed.sequence);
        if (is_missing(listed, there, summary))
            missing.add(listed);
        else if (package::record_digest(*there) == listed.digest)
            last[listed.chip] =
                std::max(last[listed.chip], listed.sequence); // a run may have ended before it was the newest
    });
    missing.flush();
    for (const auto& replacement : source.replacements()) {
        if (!is_missing(replacement, target.replacement(replacement.present), work, summary))
            continue;
        ++summary.copied;
        if (!dry_run)
            target.add(replacement);
    }
    return summary;
}

Summary mirror(Source& source, Store& target, const Work& work, bool dry_run)
{
    DatabaseCopy copy(source, target, work, dry_run);
    copy.run();
    return std::move(copy.summary);
}

} // namespace imprint::archive
