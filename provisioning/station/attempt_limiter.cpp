// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/attempt_limiter.h"

#include <algorithm>

namespace imprint::station {

// Never more than a whole bucket away, also after the clock was set back.
pki::Time TokenBucket::missing_until(const Rate& rate, pki::Time now) const
{
    return std::clamp<pki::Time>(full_at_, now, now + rate.burst * rate.refill);
}

bool TokenBucket::has_token(const Rate& rate, pki::Time now) const
{
    return missing_until(rate, now) + rate.refill <= now + rate.burst * rate.refill;
}

void TokenBucket::take(const Rate& rate, pki::Time now) { full_at_ = missing_until(rate, now) + rate.refill; }

bool ChipBuckets::has_token(const std::string& chip, pki::Time now) const
{
    const auto found = buckets_.find(chip);
    return found == buckets_.end() || found->second.has_token(rate_, now);
}

void ChipBuckets::take(const std::string& chip, pki::Time now)
{
    if (buckets_.size() >= max_chips && !buckets_.contains(chip))
        make_room(now);
    buckets_[chip].take(rate_, now);
}

void ChipBuckets::make_room(pki::Time now)
{
    if (std::erase_if(buckets_, [now](const auto& entry) { return entry.second.is_full(now); }) == 0)
        buckets_.erase(
            std::ranges::min_element(buckets_, {}, [](const auto& entry) { return entry.second.full_at(); }));
}

bool AttemptLimiter::may_judge_claim(const std::string& chip, pki::Time now) const
{
    return all_claims_.has_token(global, now) && claims_.has_token(chip, now);
}

void AttemptLimiter::wrong_claim(const std::string& chip, pki::Time now)
{
    all_claims_.take(global, now);
    claims_.take(chip, now);
}

bool AttemptLimiter::may_judge_proven(const std::string& chip, pki::Time now) const
{
    return proven_.has_token(chip, now);
}

void AttemptLimiter::wrong_proven(const std::string& chip, pki::Time now) { proven_.take(chip, now); }

} // namespace imprint::station
