// SPDX-License-Identifier: Apache-2.0
// An operating device and a central system.
#pragma once

#include "tests/device/fixture.h"
#include "tests/device/test_central.h"

#include <condition_variable>
#include <future>
#include <sys/socket.h>

namespace imprint::test {

using namespace std::chrono_literals;
using device::ChannelRequest;

inline Bytes exchange(const Fd& channel, BytesView data)
{
    if (send(channel.get(), data.data(), data.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(data.size()))
        return {};
    Bytes back(data.size());
    const ssize_t n = recv(channel.get(), back.data(), back.size(), MSG_WAITALL);
    back.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return back;
}

inline bool echoes(const Fd& channel) { return equal(exchange(channel, as_bytes("imprint")), as_bytes("imprint")); }

// Whether the channel's other end is closed; waits for it.
inline bool closed(const Fd& channel)
{
    std::uint8_t byte = 0;
    return recv(channel.get(), &byte, 1, 0) <= 0;
}

class Connecting : public DeviceTest {
protected:
    explicit Connecting(bool transaction_keys)
        : central(manufacturer())
    {
        box.settings.transaction_keys = transaction_keys;
        box.boot();
    }
    // An operating device that was given the central system's key.
    void operate()
    {
        bring_up();
        introduce({&central.certificate()});
    }
    void introduce(const std::vector<const Certified*>& keys)
    {
        central.introduce(lifecycle::Store(box.directory()), keys);
        box.device().refresh();
    }
    std::future<Result<Fd>> begin(ChannelRequest request)
    {
        auto promise = std::make_shared<std::promise<Result<Fd>>>();
        auto result = promise->get_future();
        box.device().open_channel(std::move(request),
                                  [promise](Result<Fd> opened) { promise->set_value(std::move(opened)); });
        return result;
    }
    ChannelRequest request() const { return {central.address(), {}, {}, {}, 0}; }
    Fd connect() { return begin(request()).get().or_throw(); }
    std::optional<Reason> refusal()
    {
        return reason_of([&] { connect(); });
    }
    std::size_t count() { return box.device().status().channels; }
    void expect_count(std::size_t channels)
    {
        EXPECT_TRUE(becomes([&] { return count() == channels; })) << count();
    }
    // Waits for the channels to tell of something.
    bool becomes(const std::function<bool()>& condition)
    {
        std::mutex mutex;
        std::condition_variable changed;
        box.device().watch_channels([&] {
            const std::lock_guard lock(mutex);
            changed.notify_all();
        });
        std::unique_lock lock(mutex);
        const bool became = changed.wait_for(lock, 20s, condition);
        lock.unlock();
        box.device().watch_channels({});
        return became;
    }

    TestCentral central;
};

} // namespace imprint::test
