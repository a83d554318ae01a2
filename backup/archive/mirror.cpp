// SPDX-License-Identifier: Apache-2.0
#include "backup/archive/mirror.h"

#include "backup/archive/ingest.h"
#include "backup/archive/parallel.h"

#include <map>
#include <set>

namespace imprint::archive {

namespace {

constexpr std::size_t batch_size = 128; // of records of at most 256 KiB each

// Gathers entries and hands them on in batches, proved.
class Prover {
public:
    using Take = std::function<void(const std::vector<Entry>&)>; // those of a batch that prove themselves, in order
    Prover(const Work& work, Summary& summary, Take take)
        : work_(work)
        , summary_(summary)
        , take_(std::move(take))
    {
    }

    void add(const Entry& entry)
    {
        batch_.push_back(entry);
        if (batch_.size() == batch_size)
            flush();
    }
    void flush()
    {
        std::vector<Verdict> verdicts(batch_.size(), accepted());
        in_parallel(batch_.size(), work_.jobs, [&](std::size_t i) { verdicts[i] = verify(batch_[i], work_.trust); });
        std::vector<Entry> good;
        for (std::size_t i = 0; i < batch_.size(); ++i)
            if (verdicts[i])
                good.push_back(std::move(batch_[i]));
            else
                summary_.faults.push_back({batch_[i].owner.chip_identifier, batch_[i].sequence, verdicts[i].refusal()});
        batch_.clear();
        take_(good);
        work_.progress(summary_);
    }

private:
    const Work& work_;
    Summary& summary_;
    Take take_;
    std::vector<Entry> batch_;
};

Refusal differs() { return {Reason::sequence_taken, "the target has something else here; it was left alone"}; }

std::vector<Replacement> replacements_of(Store& store)
{
    std::vector<Replacement> all;
    store.visit_replacements([&](const Replacement& replacement) {
        all.push_back(replacement);
        return true;
    });
    return all;
}

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

bool is_missing(const Entry& entry, const std::optional<Bytes>& there, Summary& summary)
{
    ++summary.records;
    if (there && *there != entry.record)
        summary.faults.push_back({entry.owner.chip_identifier, entry.sequence, differs()});
    return !there;
}

class DatabaseCopy {
public:
    DatabaseCopy(Store& source, Store& target, const Work& work, bool dry_run)
        : source_(source)
        , target_(target)
        , work_(work)
        , dry_run_(dry_run)
        , prover_(work, summary, [this](const std::vector<Entry>& entries) { add(entries); })
    {
    }

    // A former chip's records come before the replacement, and the new chip's after it: the rules of the target are
    // those of every archive.
    void run()
    {
        const auto replacements = replacements_of(source_);
        std::set<std::string> later;
        for (const auto& one : replacements)
            later.insert(one.present);
        source_.visit({}, [&](const Entry& entry) {
            if (!later.contains(entry.owner.chip_identifier))
                look_at(entry);
            return true;
        });
        prover_.flush();
        for (const auto& one : replacements)
            replace(one);
    }

    Summary summary;

private:
    void look_at(const Entry& entry)
    {
        const auto there = target_.find(entry.owner.chip_identifier, entry.sequence);
        if (is_missing(entry, there ? std::optional(there->record) : std::nullopt, summary))
            prover_.add(entry);
    }
    void add(const std::vector<Entry>& entries)
    {
        if (dry_run_ || entries.empty()) {
            summary.copied += entries.size();
            return;
        }
        const auto results = target_.add_all(entries);
        for (std::size_t i = 0; i < entries.size(); ++i)
            if (results[i])
                ++summary.copied;
            else
                summary.faults.push_back({entries[i].owner.chip_identifier, entries[i].sequence, results[i].refusal()});
    }
    void replace(const Replacement& replacement)
    {
        const auto there = target_.replacement_by(replacement.present);
        if (is_missing(replacement, there ? std::optional(there->statement) : std::nullopt, work_, summary)) {
            const Result<bool> added = dry_run_ ? Result<bool>(true) : target_.add_replacement(replacement);
            if (added)
                ++summary.copied;
            else
                summary.faults.push_back({replacement.present, {}, added.refusal()});
        }
        source_.visit(replacement.present, [&](const Entry& entry) {
            look_at(entry);
            return true;
        });
        prover_.flush();
    }

    Store& source_;
    Store& target_;
    const Work& work_;
    bool dry_run_;
    Prover prover_;
};

// The record as its receipt says that it was accepted, if the two are there and prove each other.
Verdict prove(const StaticMirror& mirror, const std::string& chip, std::uint64_t sequence, const pki::Trust& trust)
try {
    const auto record = mirror.record(chip, sequence), receipt = mirror.receipt(chip, sequence);
    if (!record || !receipt)
        return Refusal{Reason::record_not_found, record ? "its receipt is missing" : "the record is missing"};
    return verify(chip, sequence, *record, *receipt, trust);
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

Verdict prove_replacement(const StaticMirror& mirror, const std::string& chip, const pki::Trust& trust)
try {
    return verify_replacement(chip, mirror.replacement(chip).value_or(Bytes{}), trust);
} catch (const Error& error) {
    return error.refusal();
}

void note(Summary& summary, const std::string& chip, std::optional<std::uint64_t> sequence, const Verdict& verdict)
{
    if (!verdict)
        summary.faults.push_back({chip, sequence, verdict.refusal()});
}

} // namespace

Summary verify(Store& store, const Work& work)
{
    Summary summary;
    Prover prover(work, summary, [](const std::vector<Entry>&) {});
    store.visit({}, [&](const Entry& entry) {
        ++summary.records;
        prover.add(entry);
        return true;
    });
    prover.flush();
    for (const auto& replacement : replacements_of(store)) {
        ++summary.replacements;
        note(summary, replacement.present, {}, verify(replacement, work.trust));
    }
    return summary;
}

Summary verify(const StaticMirror& mirror, const Work& work)
{
    Summary summary;
    const auto names = mirror.names();
    for (std::size_t from = 0; from < names.entries.size(); from += batch_size) {
        const std::size_t count = std::min(batch_size, names.entries.size() - from);
        std::vector<Verdict> verdicts(count, accepted());
        in_parallel(count, work.jobs, [&](std::size_t i) {
            const auto& [chip, sequence] = names.entries[from + i];
            verdicts[i] = prove(mirror, chip, sequence, work.trust);
        });
        for (std::size_t i = 0; i < count; ++i)
            note(summary, names.entries[from + i].first, names.entries[from + i].second, verdicts[i]);
        summary.records += count;
        work.progress(summary);
    }
    std::map<std::string, std::uint64_t> last;
    for (const auto& [chip, sequence] : names.entries)
        last[chip] = sequence; // they are in order
    for (const auto& [chip, sequence] : last)
        note(summary, chip, sequence, prove_newest(mirror, chip, sequence));
    for (const auto& chip : names.replacements)
        note(summary, chip, {}, prove_replacement(mirror, chip, work.trust));
    summary.replacements = names.replacements.size();
    for (const auto& path : names.strange)
        summary.faults.push_back({path, {}, {Reason::invalid_argument, "this does not belong into a mirror"}});
    return summary;
}

Summary mirror(Store& source, const StaticMirror& target, const Work& work, bool dry_run)
{
    Summary summary;
    std::map<std::string, std::uint64_t> last;
    Prover prover(work, summary, [&](const std::vector<Entry>& entries) {
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
    });
    source.visit({}, [&](const Entry& entry) {
        const std::string& chip = entry.owner.chip_identifier;
        const auto there = target.record(chip, entry.sequence);
        if (is_missing(entry, there, summary))
            prover.add(entry);
        else if (there == entry.record)
            last[chip] = std::max(last[chip], entry.sequence); // a run may have ended before it was the newest
        return true;
    });
    prover.flush();
    for (const auto& replacement : replacements_of(source)) {
        if (!is_missing(replacement, target.replacement(replacement.present), work, summary))
            continue;
        ++summary.copied;
        if (!dry_run)
            target.add(replacement);
    }
    return summary;
}

Summary mirror(Store& source, Store& target, const Work& work, bool dry_run)
{
    DatabaseCopy copy(source, target, work, dry_run);
    copy.run();
    return std::move(copy.summary);
}

} // namespace imprint::archive
