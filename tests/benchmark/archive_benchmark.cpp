// SPDX-License-Identifier: Apache-2.0
// The archive's database: what a shared sync of the disk gives to those who add at the same time, and what a lookup
// costs as the database grows. Ratios within one run, on the disk that TMPDIR is on.
#include "backup/archive/group_commit.h"
#include "daemon/structures/name.h"
#include "tests/support/process.h"

#include <algorithm>
#include <iostream>
#include <random>
#include <thread>

namespace imprint::archive {
namespace {

constexpr std::size_t record_size = 256; // lookups are about the index
constexpr std::size_t at_once = 10'000; // entries of a bulk load's transaction

Entry entry(std::size_t number)
{
    const std::string digits = std::to_string(number);
    const Bytes digest = structures::digest(TPM2_ALG_SHA256, as_bytes(digits));
    return {{hex(digest), {"serial", "SN" + digits}, structures::digest(TPM2_ALG_SHA256, digest)},
            1,
            pki::Time(std::chrono::seconds(1)),
            Bytes(record_size, 1),
            Bytes(64, 2)};
}

double seconds(const std::function<void()>& work)
{
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void ingest()
{
    constexpr std::size_t entries = 2'000, threads = 16;
    const test::TemporaryDirectory directory;
    const auto alone = open_store(directory / "alone.db");
    const double each = seconds([&] {
        for (std::size_t i = 0; i < entries; ++i)
            alone->add(entry(i)).or_throw();
    });
    GroupCommit grouped(open_store(directory / "grouped.db"), open_store(directory / "grouped.db"));
    const double shared = seconds([&] {
        std::vector<std::jthread> adders;
        for (std::size_t t = 0; t < threads; ++t)
            adders.emplace_back([&, t] {
                for (std::size_t i = t; i < entries; i += threads)
                    grouped.add(entry(i)).or_throw();
            });
    });
    std::cout << "durable ingest by " << threads << " at a time: " << each / shared
              << " times as fast as one sync of the disk a record (" << entries / shared << " records a second)"
              << std::endl;
}

// The median of a lookup by chip, in microseconds.
double lookup(Store& store, std::size_t records)
{
    constexpr std::size_t lookups = 5'000;
    std::mt19937_64 random(records);
    std::vector<double> times;
    for (std::size_t i = 0; i < lookups; ++i) {
        const std::string chip = entry(random() % records).owner.chip_identifier;
        times.push_back(seconds([&] { store.read(chip, {}).value(); }));
    }
    std::ranges::nth_element(times, times.begin() + lookups / 2);
    return times[lookups / 2] * 1e6;
}

void lookups()
{
    const test::TemporaryDirectory directory;
    const auto store = open_store(directory / "archive.db");
    double smallest = 0;
    std::size_t loaded = 0;
    for (const std::size_t records : {10'000U, 100'000U, 1'000'000U}) {
        while (loaded < records) {
            std::vector<Entry> entries;
            for (std::size_t i = 0; i < at_once; ++i)
                entries.push_back(entry(loaded++));
            store->add_all(entries);
        }
        const double median = lookup(*store, records);
        smallest = smallest == 0 ? median : smallest;
        std::cout << "lookup of the newest record among " << records << ": " << median << " us, " << median / smallest
                  << " times that among 10000" << std::endl;
    }
}

} // namespace
} // namespace imprint::archive

int main()
{
    imprint::archive::ingest();
    imprint::archive::lookups();
}
