// SPDX-License-Identifier: Apache-2.0
// Brings every record and replacement to the archive, however long that takes, and then removes what the pool still has
// of it. Includes Asio: for few translation units.
#pragma once

#include "provisioning/station/archive_client.h"
#include "provisioning/station/store.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

namespace imprint::station {

class Outbox {
public:
    // Borrows everything. The store is touched in the worker's thread only.
    Outbox(const boost::asio::any_io_executor& executor, boost::asio::thread_pool& worker, Store& store,
           ArchiveClient& client);

    void start();
    void wake(); // there is a new record
    void stop();
    // Instead of start(): each waiting record once, until the archive cannot be reached; and what the pool has of the
    // delivered ones.
    boost::asio::awaitable<void> deliver_once();

private:
    boost::asio::awaitable<void> run();
    boost::asio::awaitable<pki::Time> step();
    boost::asio::awaitable<std::optional<OutboxEntry>> next();
    boost::asio::awaitable<void> deliver(OutboxEntry entry);
    boost::asio::awaitable<bool> release();
    boost::asio::awaitable<void> settle(const OutboxEntry& entry, const Handover& handover);
    boost::asio::awaitable<void> wait_until(pki::Time time);
    bool away() const { return pause_ > std::chrono::seconds(0); }

    boost::asio::thread_pool& worker_;
    Store& store_;
    ArchiveClient& client_;
    boost::asio::steady_timer timer_;
    std::chrono::seconds pause_{0}; // while the archive cannot be reached; doubled each time
    std::int64_t released_ = 0; // place in the pool: what stands before was tried in this round
    bool news_ = false;
    bool stopping_ = false;
};

// 1 s, 2 s, 4 s ... up to an hour.
std::chrono::seconds retry_delay(std::uint32_t attempts);

} // namespace imprint::station
