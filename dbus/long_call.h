// SPDX-License-Identifier: Apache-2.0
// Calls that take their time: one at once, on a thread of its own, while the loop goes on serving the bus.
#pragma once

#include "daemon/tls/stream.h"
#include "dbus/loop_bell.h"
#include "provisioning/device/progress.h"

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

namespace imprint::dbus {

// What the Progress property shows.
using ProgressReport = std::pair<std::uint32_t, std::string>; // percent, step of the running call
inline constexpr auto* first_step = "starting"; // until the call itself says something

class LongCall {
public:
    // On the call's thread; may throw.
    using Work = std::function<void(const device::Progress&, const tls::Cancel&)>;
    // In the loop, after the thread has ended: nothing, or why it failed.
    using Done = std::function<void(const std::optional<Refusal>&)>;

    // `progressed` runs in the loop whenever progress() may have changed; `faulty` if it or a Done throws.
    LongCall(sd_event* loop, std::function<void()> progressed, std::function<void(const Refusal&)> faulty);
    ~LongCall(); // cancels, and waits for the thread
    LongCall(const LongCall&) = delete;
    LongCall& operator=(const LongCall&) = delete;

    // All of these in the loop's thread.
    void start(Work work, Done done); // throws Error(busy)
    bool running() const { return thread_.joinable(); }
    void cancel() noexcept;
    ProgressReport progress() const; // (0, "") when no call runs

private:
    void run(const Work& work) noexcept;
    void report(unsigned percent, const std::string& step);
    void in_loop();

    std::function<void()> progressed_;
    LoopBell bell_; // the only thing that the thread shares with the loop besides what mutex_ guards
    Done done_;
    std::optional<tls::Cancel> cancel_;
    mutable std::mutex mutex_;
    ProgressReport progress_;
    bool ended_ = false;
    std::optional<Refusal> failure_;
    std::jthread thread_;
};

} // namespace imprint::dbus
