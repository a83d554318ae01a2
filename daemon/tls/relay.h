// SPDX-License-Identifier: Apache-2.0
// Joins TLS connections to local descriptors, any number of them, on one thread.
#pragma once

#include "daemon/tls/stream.h"

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace imprint::tls {

class RelayPair;

// Each pair carries bytes both ways until both ends have ended. An end that has only stopped sending (close_notify on
// the one side, shutdown(SHUT_WR) on the other) is passed on as that; an end that has closed, or failed, closes the
// other. Who does not read is not written to, and then not read for: at most one record waits in each direction, and
// none while a pair is idle. Every pair gets its turn.
class Relay {
public:
    // Told the number of pairs on the relay's thread whenever it has changed. Must not call back.
    using Counted = std::function<void(std::size_t pairs)>;
    explicit Relay(Counted counted = {});
    ~Relay(); // ends all
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;

    // Any thread, like all of these. `local` is a stream socket.
    void add(Established remote, Fd local);
    // Returns when every pair that was added before has ended, each with a close_notify if the line takes it at once.
    void end_all();
    std::size_t size() const noexcept { return size_; }

private:
    using Added = std::vector<std::pair<Established, Fd>>;
    void run(const std::stop_token& stop);
    void serve_wake();
    void serve_event(std::uint64_t key, std::uint32_t events);
    void begin(Established remote, Fd local);
    void end(std::uint64_t number) noexcept;
    void wake() const noexcept;

    Counted counted_;
    Fd epoll_, wake_;
    std::unordered_map<std::uint64_t, std::unique_ptr<RelayPair>> pairs_; // the thread's own
    std::uint64_t next_ = 1;
    std::atomic<std::size_t> size_ = 0;
    std::mutex mutex_; // guards the three below
    std::condition_variable ended_;
    Added added_;
    std::uint64_t ends_asked_ = 0, ends_done_ = 0;
    std::jthread thread_;
};

} // namespace imprint::tls
