// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/commands.h"

#include "daemon/base/file.h"
#include "provisioning/server/symmetric_key.h"
#include "provisioning/station/commands_format.h"
#include "provisioning/station/pool_fill.h"

#include <nlohmann/json.hpp>

#include <csignal>
#include <thread>
#include <unistd.h>

namespace imprint::station {

namespace {

constexpr std::size_t line_each = 1000; // pairs, where nobody watches
constexpr int bar_width = 40;

std::atomic<bool> interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free); // set by a signal handler

// Ends at the next batch instead of anywhere.
void stop_cleanly()
{
    struct sigaction action { };
    action.sa_handler = [](int) { interrupted = true; };
    action.sa_flags = static_cast<int>(SA_RESETHAND); // a second one ends at once
    for (const int signal : {SIGINT, SIGTERM})
        sigaction(signal, &action, nullptr);
}

PairKind kind_named(const std::string& text)
{
    const auto kind = pair_kind(text);
    if (!kind)
        throw Error(Reason::invalid_argument, text + " is no kind of pair: p256, p384, rsa2048 or rsa3072");
    return *kind;
}

// The key that is there or, for an empty pool, a new one.
Secret key_for_filling(Store& store, const PoolOptions& options)
{
    const auto usual = pool_key_path(options.state);
    if (!options.key.empty())
        return load_pool_key(options.key);
    if (!std::filesystem::exists(usual)) {
        if (store.newest_pair())
            throw Error(Reason::not_configured,
                        usual.string() +
                            " is missing, without which nobody can open the pairs that are there: bring "
                            "it back, or remove them with imprint-station pool drain --all");
        server::make_symmetric_key(usual, "the pool hangs on it");
    }
    return load_pool_key(usual);
}

class Progress {
public:
    explicit Progress(const Filling& filling)
        : filling_(filling)
    {
    }
    ~Progress()
    {
        if (terminal_)
            std::cerr << "\r\033[K" << std::flush;
    }
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    void show(std::size_t free)
    {
        if (terminal_) {
            const auto done = static_cast<std::size_t>(bar_width) * std::min(free, filling_.wanted) / filling_.wanted;
            std::cerr << '\r' << name(filling_.kind) << " [" << std::string(done, '#')
                      << std::string(bar_width - done, ' ') << "] " << free << " of " << filling_.wanted << "\033[K"
                      << std::flush;
        } else if (free / line_each > told_ / line_each) {
            std::cerr << name(filling_.kind) << ": " << free << " of " << filling_.wanted << '\n';
            told_ = free;
        }
    }

private:
    const Filling& filling_;
    bool terminal_ = isatty(STDERR_FILENO) != 0;
    std::size_t told_ = 0;
};

std::vector<PoolCount> all_counts(Store& store)
{
    std::vector<PoolCount> all;
    const auto counts = store.pool_counts();
    for (const auto kind : {PairKind::p256, PairKind::p384, PairKind::rsa2048, PairKind::rsa3072}) {
        const auto found = std::ranges::find(counts, name(kind), &PoolCount::kind);
        all.push_back(found == counts.end() ? PoolCount{std::string(name(kind))} : *found);
    }
    return all;
}

} // namespace

int fill_pool(Store& store, const PoolOptions& options)
try {
    const Filling filling{kind_named(options.kind), options.count,
                          options.jobs != 0 ? options.jobs : std::max(1U, std::thread::hardware_concurrency())};
    const Pool pool(key_for_filling(store, options));
    pool.check(store);
    stop_cleanly();
    const auto before = store.free_pairs(options.kind);
    std::size_t free = 0;
    {
        Progress progress(filling);
        free = fill(store, pool, filling, interrupted, [&](std::size_t now) { progress.show(now); });
    }
    if (free > before)
        audit(store, "pool-filled", "", options.kind + ": " + std::to_string(free) + " are free");
    std::cout << free << ' ' << options.kind << " pairs are free\n";
    if (free >= filling.wanted)
        return exit_ok;
    std::cerr << "imprint-station: stopped; the same command goes on from here\n";
    return exit_failed;
} catch (const SQLite::Exception& e) {
    throw Error(Reason::storage_failed, std::string("the pool takes no more pairs: ") + e.what());
}

int show_pool(Store& store, std::size_t low_water, bool json)
{
    auto all = nlohmann::ordered_json::array();
    for (const auto& count : all_counts(store)) {
        const bool low = count.free < low_water;
        if (json)
            all.push_back({{"kind", count.kind}, {"free", count.free}, {"taken", count.taken}, {"low", low}});
        else
            std::cout << count.kind << ": " << count.free << " free, " << count.taken
                      << " taken and not confirmed by the archive" << (low ? ", LOW" : "") << '\n';
    }
    if (json)
        std::cout << all.dump(2) << '\n';
    return exit_ok;
}

int drain_pool(Store& store, const PoolOptions& options, bool yes)
{
    std::vector<PoolCount> drained;
    std::size_t total = 0;
    for (const auto& count : store.pool_counts())
        if (options.kind.empty() || count.kind == name(kind_named(options.kind))) {
            drained.push_back(count);
            total += count.free;
        }
    if (total != 0 && !yes && !confirmed("Remove " + std::to_string(total) + " pairs for good?"))
        return exit_failed;
    auto transaction = store.begin();
    for (const auto& count : drained)
        audit(store, "pool-drained", "", count.kind + ": " + std::to_string(store.drain_pairs(count.kind)));
    transaction.commit();
    if (!store.leave_no_trace())
        throw Error(Reason::storage_failed,
                    "the pairs are removed, but other programs read the database, whose log still holds them: again");
    return exit_ok;
}

} // namespace imprint::station
