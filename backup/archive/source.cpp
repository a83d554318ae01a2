// SPDX-License-Identifier: Apache-2.0
#include "backup/archive/source.h"

namespace imprint::archive {

namespace {

constexpr std::size_t at_once = 500;

} // namespace

void DatabaseSource::visit(const std::function<void(const Listed&)>& visitor)
{
    std::uint64_t after = 0;
    for (auto page = store_.list(after, at_once); !page.empty(); page = store_.list(after, at_once)) {
        for (const auto& one : page)
            visitor(one);
        after = page.back().number;
    }
}

std::vector<Result<Copy>> DatabaseSource::fetch(std::span<const Listed> records)
{
    std::vector<Result<Copy>> copies;
    for (const auto& one : records) {
        auto entry = store_.find(one.chip, one.sequence);
        if (entry)
            copies.emplace_back(Copy{one.chip, one.sequence, std::move(entry->record), std::move(entry->receipt)});
        else
            copies.emplace_back(Refusal{Reason::record_not_found, "the database lists it, and has no chip for it"});
    }
    return copies;
}

std::vector<Replacement> DatabaseSource::replacements()
{
    std::vector<Replacement> all;
    store_.visit_replacements([&](const Replacement& replacement) {
        all.push_back(replacement);
        return true;
    });
    return all;
}

} // namespace imprint::archive
