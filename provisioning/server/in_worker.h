// SPDX-License-Identifier: Apache-2.0
// A server's one thread that signs and waits for the disk, so that the network's never does.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <optional>

namespace imprint::server {

// Runs work() in the worker's thread and gives its value, or throws what it throws, where it was awaited.
// `work` has to stay valid until then.
template <class F>
boost::asio::awaitable<std::invoke_result_t<F>> in_worker(boost::asio::thread_pool& worker, F& work)
{
    using T = std::invoke_result_t<F>;
    if constexpr (std::is_void_v<T>) {
        auto run = [&work]() -> boost::asio::awaitable<void> {
            work();
            co_return;
        };
        co_await boost::asio::co_spawn(worker.get_executor(), run, boost::asio::use_awaitable);
    } else {
        std::optional<T> value; // Asio's own way would want one without a value
        auto run = [&work, &value]() -> boost::asio::awaitable<void> {
            value.emplace(work());
            co_return;
        };
        co_await boost::asio::co_spawn(worker.get_executor(), run, boost::asio::use_awaitable);
        co_return std::move(*value);
    }
}

} // namespace imprint::server
