// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/pool_fill.h"

#include <condition_variable>
#include <mutex>
#include <thread>

namespace imprint::station {

namespace {

constexpr std::size_t batch_size = 256;
constexpr std::chrono::seconds batch_time{1};
constexpr std::chrono::milliseconds patience{100}; // until a stop is seen

// Threads that make and seal pairs, `count` in all, never more than two batches ahead.
class Production {
public:
    Production(const Pool& pool, PairKind kind, std::size_t count, unsigned jobs)
        : pool_(pool)
        , kind_(kind)
        , left_(count)
        , outstanding_(count)
    {
        for (unsigned i = 0; i < jobs; ++i)
            threads_.emplace_back([this](const std::stop_token& stop) { run(stop); });
    }
    Production(const Production&) = delete;
    Production& operator=(const Production&) = delete;
    ~Production()
    {
        for (auto& thread : threads_)
            thread.request_stop();
    }

    // What was made in the time of one batch; nothing when all was handed out, or on a stop.
    std::vector<PooledPair> next(const std::atomic<bool>& stop)
    {
        const auto end = std::chrono::steady_clock::now() + batch_time;
        std::unique_lock lock(mutex_);
        const auto full = [this] { return fault_ || made_.size() >= std::min(batch_size, outstanding_); };
        while (!stop && !full() && (made_.empty() || std::chrono::steady_clock::now() < end))
            changed_.wait_for(lock, patience);
        if (fault_)
            std::rethrow_exception(fault_);
        outstanding_ -= made_.size();
        changed_.notify_all();
        return std::exchange(made_, {});
    }

private:
    void run(const std::stop_token& stop)
    try {
        while (claim_one(stop)) {
            auto pair = pool_.seal(make_pair(kind_).get());
            const std::scoped_lock lock(mutex_);
            made_.push_back(std::move(pair));
            if (made_.size() >= std::min(batch_size, outstanding_))
                changed_.notify_all();
        }
    } catch (...) {
        const std::scoped_lock lock(mutex_);
        fault_ = std::current_exception();
        changed_.notify_all();
    }

    bool claim_one(const std::stop_token& stop)
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, stop, [this] { return left_ == 0 || made_.size() < 2 * batch_size; });
        if (stop.stop_requested() || left_ == 0)
            return false;
        --left_;
        return true;
    }

    const Pool& pool_;
    PairKind kind_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::size_t left_; // to be begun
    std::size_t outstanding_; // to be handed out
    std::vector<PooledPair> made_;
    std::exception_ptr fault_;
    std::vector<std::jthread> threads_; // last: they use all the above
};

// Somebody else may have been quicker: only what is missing.
std::size_t add(Store& store, const std::vector<PooledPair>& pairs, const Filling& filling)
{
    auto transaction = store.begin();
    std::size_t free = store.free_pairs(std::string(name(filling.kind)));
    for (const auto& pair : pairs)
        if (free < filling.wanted) {
            store.add_pair(pair);
            ++free;
        }
    transaction.commit();
    return free;
}

} // namespace

std::size_t fill(Store& store, const Pool& pool, const Filling& filling, const std::atomic<bool>& stop,
                 const std::function<void(std::size_t free)>& progress)
{
    std::size_t free = store.free_pairs(std::string(name(filling.kind)));
    while (free < filling.wanted && !stop) { // again, if devices took some in the meantime
        Production production(pool, filling.kind, filling.wanted - free, filling.jobs);
        for (auto pairs = production.next(stop); !pairs.empty(); pairs = production.next(stop)) {
            free = add(store, pairs, filling);
            progress(free);
            if (free >= filling.wanted)
                break;
        }
    }
    return free;
}

} // namespace imprint::station
