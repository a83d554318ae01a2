// SPDX-License-Identifier: Apache-2.0
// How a thread has something done in the event loop.
#pragma once

#include "daemon/base/file.h"
#include "dbus/handles.h"

#include <functional>

namespace imprint::dbus {

class LoopBell {
public:
    // `rung` runs in the loop, once for all rings since it began last; `faulty`, there too, gets what it throws.
    LoopBell(sd_event* loop, std::function<void()> rung, std::function<void(const Refusal&)> faulty);
    LoopBell(const LoopBell&) = delete;
    LoopBell& operator=(const LoopBell&) = delete;

    void ring() const noexcept; // any thread

private:
    static int on_told(sd_event_source*, int, std::uint32_t, void* self) noexcept;

    std::function<void()> rung_;
    std::function<void(const Refusal&)> faulty_;
    Fd told_; // an eventfd
    EventSource source_;
};

} // namespace imprint::dbus
