// SPDX-License-Identifier: Apache-2.0
// The one thread of the station that signs and waits for the disk, so that the network's never does.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace imprint::station {

// Runs work() in the worker's thread and gives its value, or throws what it throws, where it was awaited.
// `work` has to stay valid until then.
template <class F>
boost::asio::awaitable<std::invoke_result_t<F>> in_worker(boost::asio::thread_pool& worker, F& work)
{
    auto run = [&work]() -> boost::asio::awaitable<std::invoke_result_t<F>> { co_return work(); };
    co_return co_await boost::asio::co_spawn(worker.get_executor(), run, boost::asio::use_awaitable);
}

} // namespace imprint::station
