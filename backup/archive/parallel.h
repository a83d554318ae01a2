// SPDX-License-Identifier: Apache-2.0
// Signatures are checked on every core: the same work for each of a bounded batch of items.
#pragma once

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace imprint::archive {

// Calls work(i) for every i below `count`, on `jobs` threads; returns when all are done. The first exception stops the
// rest and is thrown on.
template <class Work>
void in_parallel(std::size_t count, unsigned jobs, const Work& work)
{
    std::atomic<std::size_t> next = 0;
    std::mutex mutex;
    std::exception_ptr failure;
    const auto run = [&] {
        try {
            for (std::size_t i = next++; i < count; i = next++)
                work(i);
        } catch (...) {
            next = count;
            const std::scoped_lock lock(mutex);
            failure = std::current_exception();
        }
    };
    {
        std::vector<std::jthread> threads;
        for (std::size_t i = 1; i < std::min<std::size_t>(jobs, count); ++i)
            threads.emplace_back(run);
        run();
    }
    if (failure)
        std::rethrow_exception(failure);
}

} // namespace imprint::archive
