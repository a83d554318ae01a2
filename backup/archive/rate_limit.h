// SPDX-License-Identifier: Apache-2.0
// How often the public may ask: each client, and all of them together. In a table that never grows, whoever comes.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace imprint::archive {

struct Rates { // of requests a second; 0: any
    unsigned of_client = 50;
    unsigned of_all = 2000;
};

// The generic cell rate algorithm (ITU-T I.371): who was quiet may ask for five seconds' worth at once.
class RateLimit {
public:
    using Time = std::chrono::steady_clock::time_point;
    explicit RateLimit(Rates rates);

    // Nothing: the request may be answered, and counts. Otherwise after how long one may be: then it does not count.
    // An empty `client` (server::client_of) is limited with all the others only.
    std::optional<std::chrono::seconds> refuse(std::string_view client, Time now);

private:
    // When the requests so far would have been due, had they come at the rate; in the past: nothing is owed.
    struct Bucket {
        std::uint64_t client = 0;
        Time due{};
    };
    static constexpr std::size_t ways = 8; // where one client may stand
    static constexpr std::size_t sets = 4096;
    using Set = std::array<Bucket, ways>;

    Bucket& bucket_of(std::string_view client);

    std::array<std::uint8_t, 32> seed_{}; // so that nobody can choose addresses that push another one out
    std::chrono::nanoseconds client_interval_, all_interval_; // zero: any
    Bucket all_;
    std::vector<Set> table_;
};

} // namespace imprint::archive
