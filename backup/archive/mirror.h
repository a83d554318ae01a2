// SPDX-License-Identifier: Apache-2.0
// Copies the archive, and proves a copy or the archive itself. Nothing here trusts where the bytes come from.
#pragma once

#include "backup/archive/source.h"
#include "backup/archive/static_mirror.h"
#include "daemon/pki/verify.h"

namespace imprint::archive {

struct Fault {
    std::string chip; // or the path of what does not belong there
    std::optional<std::uint64_t> sequence; // of a record
    Refusal refusal;
};

struct Summary {
    std::size_t records = 0, replacements = 0; // looked at
    std::size_t copied = 0; // records and replacements; would be, in a dry run
    std::vector<Fault> faults;
};

struct Work {
    const pki::Trust& trust;
    unsigned jobs = 1; // threads that check signatures
    std::function<void(const Summary&)> progress; // now and then
};

// Also which chips have one identity without a replacement that joins them.
Summary verify(Store& store, const Work& work);
// Also what is missing or does not belong there.
Summary verify(const StaticMirror& mirror, const Work& work);

// Brings what the target does not have yet, each one proved before it is written. What stands there and differs is a
// fault and stays, and so is what the source cannot prove and stays away. Interrupted at any instant, the next run goes
// on.
Summary mirror(Source& source, const StaticMirror& target, const Work& work, bool dry_run);
Summary mirror(Source& source, Store& target, const Work& work, bool dry_run);

} // namespace imprint::archive
