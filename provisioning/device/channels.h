// SPDX-License-Identifier: Apache-2.0
// Channels: connections to the central system, secured with the TPM's keys, for local programs that never see a key.
#pragma once

#include "daemon/tls/relay.h"
#include "provisioning/device/device.h"
#include "provisioning/device/operating.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace imprint::device {

// A few threads connect and handshake, one relays what is connected. Open only between publish() and refuse() or end().
class Channels {
public:
    explicit Channels(std::chrono::seconds connect_timeout);
    ~Channels(); // ends all
    Channels(const Channels&) = delete;
    Channels& operator=(const Channels&) = delete;

    // All of these on any thread. What new channels are made with from now on; those of another epoch are ended.
    void publish(std::shared_ptr<const Operating> operating);
    // Why no new ones are made from now on.
    void refuse(const Refusal& why);
    // The same, and ends all; returns when there is none any more, nor one on its way.
    void end(const Refusal& why);

    // Never waits. Throws Error(busy), or what was given to refuse() or end().
    void open(ChannelRequest request, ChannelOpened opened);
    std::size_t count() const { return relay_.size(); }
    // Told on one of the threads here, after count() has changed. Empty: nobody, from the return on.
    void watch(std::function<void()> changed);

private:
    struct Job {
        ChannelRequest request;
        ChannelOpened opened;
    };
    // One on its way.
    struct Attempt {
        Job job;
        std::shared_ptr<const Operating> operating;
        std::shared_ptr<tls::Cancel> cancel;
    };
    void run(const std::stop_token& stop);
    std::optional<Attempt> next(const std::stop_token& stop);
    Result<Fd> attempt(const Attempt& attempt) noexcept;
    Fd connect(const Attempt& attempt);
    void get_transaction_key(const Attempt& attempt) noexcept;
    void done(const Attempt& attempt);
    void changed();

    const std::chrono::seconds connect_timeout_;
    std::mutex watch_mutex_;
    std::function<void()> watched_;
    tls::Relay relay_;
    mutable std::mutex mutex_; // guards the rest
    std::condition_variable_any wake_, idle_;
    std::shared_ptr<const Operating> operating_;
    Refusal refusal_;
    std::deque<Job> waiting_;
    std::vector<std::shared_ptr<tls::Cancel>> under_way_;
    std::vector<std::jthread> threads_;
};

} // namespace imprint::device
