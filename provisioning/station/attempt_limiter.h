// SPDX-License-Identifier: Apache-2.0
// How often wrong introductions are judged (attack 26). Free of I/O and clocks.
//
// Before a chip is proven, anybody can speak in its name. So an empty bucket of claims refuses nobody: the judgement is
// put off until the chip has proven itself by its TPM, and then nothing but its own wrong attempts counts. What a
// stranger uses up costs honest devices two round trips, never their turn.
#pragma once

#include "daemon/pki/certificate.h"

#include <chrono>
#include <string>
#include <unordered_map>

namespace imprint::station {

struct Rate {
    unsigned burst = 1; // attempts at once
    std::chrono::seconds refill{1}; // for one more
};

// A bucket of tokens, kept as the time at which it will be full: one in the past is as good as none.
class TokenBucket {
public:
    bool has_token(const Rate& rate, pki::Time now) const;
    void take(const Rate& rate, pki::Time now);
    bool is_full(pki::Time now) const { return full_at_ <= now; }
    pki::Time full_at() const { return full_at_; }

private:
    pki::Time missing_until(const Rate& rate, pki::Time now) const;
    pki::Time full_at_{};
};

// One bucket a chip, in bounded memory: where there are too many, the one that is full the soonest is forgotten.
class ChipBuckets {
public:
    explicit ChipBuckets(Rate rate)
        : rate_(rate)
    {
    }
    bool has_token(const std::string& chip, pki::Time now) const;
    void take(const std::string& chip, pki::Time now);
    std::size_t size() const { return buckets_.size(); }

    static constexpr std::size_t max_chips = 4096;

private:
    void make_room(pki::Time now);
    Rate rate_;
    std::unordered_map<std::string, TokenBucket> buckets_;
};

class AttemptLimiter {
public:
    static constexpr Rate global{.burst = 100, .refill = std::chrono::seconds(1)};
    static constexpr Rate for_each_chip{.burst = 10, .refill = std::chrono::minutes(1)};

    // Whether an introduction may be judged at Hello, on a mere claim; if not, it is judged after Proof.
    bool may_judge_claim(const std::string& chip, pki::Time now) const;
    void wrong_claim(const std::string& chip, pki::Time now);
    // Whether it may be judged for a chip that has proven itself.
    bool may_judge_proven(const std::string& chip, pki::Time now) const;
    void wrong_proven(const std::string& chip, pki::Time now);

private:
    TokenBucket all_claims_;
    ChipBuckets claims_{for_each_chip};
    ChipBuckets proven_{for_each_chip};
};

} // namespace imprint::station
