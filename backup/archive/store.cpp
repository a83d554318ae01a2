// SPDX-License-Identifier: Apache-2.0
#include "backup/archive/store.h"

#include "backup/archive/postgres_store.h"
#include "backup/archive/sqlite_store.h"

namespace imprint::archive {

namespace {

constexpr std::string_view sqlite_scheme = "sqlite:";
constexpr std::size_t page_size = 200; // replacements of at most 16 KiB each

} // namespace

Result<Added> Store::known_already(Entry stored, const Entry& entry)
{
    if (stored.record != entry.record)
        return Refusal{Reason::sequence_taken, "another record has this chip and sequence"};
    return Added{false, std::move(stored.receipt)};
}

void Store::visit_replacements(const std::function<bool(const Replacement&)>& visitor)
{
    std::uint64_t after = 0;
    for (auto page = list_replacements(after, page_size); !page.empty(); page = list_replacements(after, page_size))
        for (const auto& [number, replacement] : page) {
            if (!visitor(replacement))
                return;
            after = number;
        }
}

std::unique_ptr<Store> open_store(const std::string& url, Opening opening)
{
    for (const auto scheme : {"postgresql://", "postgres://"})
        if (url.starts_with(scheme))
            return open_postgres(url, opening);
    return open_sqlite(url.starts_with(sqlite_scheme) ? url.substr(sqlite_scheme.size()) : url, opening);
}

} // namespace imprint::archive
