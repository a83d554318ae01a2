// SPDX-License-Identifier: Apache-2.0
// The transaction keys of one epoch (claim A32): which one the next connection offers, and when to get a new one.
#pragma once

#include "daemon/tls/stream.h"
#include "daemon/tpm/worker.h"
#include "provisioning/device/key_session.h"

#include <map>
#include <mutex>

namespace imprint::device {

class TransactionKeys {
public:
    // `worker` and `store` outlive it.
    TransactionKeys(tpm::Worker& worker, const lifecycle::Store& store, std::string chip_identifier,
                    std::uint64_t epoch);

    // All of these on any thread. `central_keys`: those that the central system may have now. A key that was made under
    // the eyes of another one is of no use any more.
    // A PSK of its own for one connection, or nothing where there is no valid key. [6 the first time, 3 later]
    std::optional<tls::PreSharedKey> offer(const std::string& address, const std::vector<Bytes>& central_keys);
    // What became of the offer: a central system that does not know the key any more gets the next chance at once, then
    // at growing intervals.
    void taken(const std::string& address);
    void turned_down(const std::string& address, BytesView identity);
    // Whether this caller is to get a new key now; ends with end(). One caller at a time, at growing intervals after
    // failures.
    bool begin(const std::string& address, const std::vector<Bytes>& central_keys);
    void end(const std::string& address, bool succeeded);
    // The conversation, over a connection with the module key; the key is durable when it returns. Gives an update of
    // the central system's keys that came along. Throws Error. [11 and what make_room() costs]
    Bytes establish(tls::Stream& stream, const std::string& address, tls::Deadline deadline);

private:
    struct Fortune {
        bool under_way = false;
        unsigned failures = 0;
        std::chrono::steady_clock::time_point not_before{};
    };
    const lifecycle::TransactionKey* find(const std::string& address, const std::vector<Bytes>& central_keys) const;
    void failed(Fortune& fortune) const;
    void remove(const std::string& address);
    KeyHolder holder();
    KeySession::Situation situation(const tls::Stream& stream);

    tpm::Worker& worker_;
    const lifecycle::Store& store_;
    const std::uint64_t epoch_;
    std::mutex mutex_; // guards the two below
    lifecycle::TransactionKeys keys_;
    std::map<std::string, Fortune> fortunes_; // by address
};

} // namespace imprint::device
