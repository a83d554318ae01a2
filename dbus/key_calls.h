// SPDX-License-Identifier: Apache-2.0
// Short calls that wait for the TPM: one after the other on a thread of their own, beside a long call too.
#pragma once

#include "daemon/base/secret.h"
#include "dbus/loop_bell.h"

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

namespace imprint::dbus {

class KeyCalls {
public:
    using Work = std::function<Secret()>; // on the thread; what it throws answers the call
    // In the loop, before the call is answered.
    using Failed = std::function<void(sd_bus_message* call, const Refusal&)>;
    // `faulty`, in the loop: `failed` has thrown.
    KeyCalls(sd_event* loop, Failed failed, std::function<void(const Refusal&)> faulty);
    ~KeyCalls(); // waits for the TPM's command in flight
    KeyCalls(const KeyCalls&) = delete;
    KeyCalls& operator=(const KeyCalls&) = delete;

    // In the loop's thread. The call is answered later, with ay. Throws Error(busy) where too many wait.
    void begin(sd_bus_message* call, Work work);

private:
    using Ended = std::pair<std::uint64_t, Result<Secret>>;
    void run(const std::stop_token& stop);
    void answer_all();
    void answer(sd_bus_message* call, const Result<Secret>& result) const;

    Failed failed_;
    LoopBell bell_;
    // Messages belong to the loop's thread: the other knows them by number.
    std::map<std::uint64_t, Message> calls_;
    std::uint64_t next_ = 0;
    std::mutex mutex_; // guards the next two
    std::deque<std::pair<std::uint64_t, Work>> waiting_;
    std::vector<Ended> ended_;
    std::condition_variable_any wake_;
    std::jthread thread_; // last: uses the rest
};

} // namespace imprint::dbus
