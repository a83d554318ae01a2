// SPDX-License-Identifier: Apache-2.0
// Calls that are answered with a channel to the central system: many at once, none of which waits in the loop.
#pragma once

#include "dbus/loop_bell.h"
#include "provisioning/device/device.h"

#include <functional>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

namespace imprint::dbus {

class ChannelCalls {
public:
    // In the loop, before the call is answered.
    using Failed = std::function<void(sd_bus_message* call, const Refusal&)>;
    // `changed` runs in the loop whenever the number of channels may have changed; `faulty` if that or `failed` throws.
    ChannelCalls(sd_event* loop, device::Device& device, std::function<void()> changed, Failed failed,
                 std::function<void(const Refusal&)> faulty);
    ~ChannelCalls(); // ends all channels
    ChannelCalls(const ChannelCalls&) = delete;
    ChannelCalls& operator=(const ChannelCalls&) = delete;

    // All of these in the loop's thread. The call is answered later: with a descriptor, unless the caller has a socket.
    void open(sd_bus_message* call, device::ChannelRequest request);
    // Ends all channels, and answers the calls that wait for one.
    void stop();

private:
    using Opened = std::vector<std::pair<std::uint64_t, Result<Fd>>>;
    void answer_all();
    void answer(sd_bus_message* call, Result<Fd> opened) const;

    device::Device& device_;
    std::function<void()> changed_;
    Failed failed_;
    LoopBell bell_; // what the device's threads share with the loop besides what mutex_ guards
    // Messages belong to the loop's thread: the others know them by number.
    std::map<std::uint64_t, Message> calls_;
    std::uint64_t next_ = 0;
    std::mutex mutex_;
    Opened opened_;
};

} // namespace imprint::dbus
