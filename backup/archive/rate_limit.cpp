// SPDX-License-Identifier: Apache-2.0
#include "backup/archive/rate_limit.h"

#include "daemon/base/error.h"
#include "daemon/structures/name.h"

#include <openssl/rand.h>

#include <algorithm>
#include <cstring>

namespace imprint::archive {

namespace {

using namespace std::chrono_literals;
using Time = RateLimit::Time;

constexpr auto tolerance = 5s;

std::chrono::nanoseconds interval_of(unsigned rate) { return rate == 0 ? 0ns : std::chrono::nanoseconds(1s) / rate; }

// How long it is until another request is due.
std::chrono::nanoseconds early_by(Time due, Time now, std::chrono::nanoseconds interval)
{
    return interval == 0ns ? 0ns : std::max(0ns, due + interval - tolerance - now);
}

} // namespace

RateLimit::RateLimit(Rates rates)
    : client_interval_(interval_of(rates.of_client))
    , all_interval_(interval_of(rates.of_all))
    , table_(sets)
{
    if (RAND_bytes(seed_.data(), static_cast<int>(seed_.size())) != 1)
        throw openssl_error(Reason::internal, "there are no random numbers");
}

// The client's own, or in its place the one of its set that owes least: to forget it costs least.
RateLimit::Bucket& RateLimit::bucket_of(std::string_view client)
{
    Bytes text(seed_.begin(), seed_.end());
    text.insert(text.end(), client.begin(), client.end());
    const Bytes digest = structures::digest(TPM2_ALG_SHA256, text);
    std::uint64_t name = 0, place = 0;
    std::memcpy(&name, digest.data(), sizeof name);
    std::memcpy(&place, digest.data() + sizeof name, sizeof place);
    Set& set = table_.at(place % sets);
    const auto own = std::ranges::find(set, name, &Bucket::client);
    if (own != set.end())
        return *own;
    Bucket& least = *std::ranges::min_element(set, {}, &Bucket::due);
    least = {name, {}};
    return least;
}

std::optional<std::chrono::seconds> RateLimit::refuse(std::string_view client, Time now)
{
    Bucket anybody;
    Bucket& own = client.empty() || client_interval_ == 0ns ? anybody : bucket_of(client);
    const auto interval = &own == &anybody ? 0ns : client_interval_;
    const auto early = std::max(early_by(own.due, now, interval), early_by(all_.due, now, all_interval_));
    if (early > 0ns)
        return std::chrono::ceil<std::chrono::seconds>(early);
    own.due = std::max(own.due, now) + interval;
    all_.due = std::max(all_.due, now) + all_interval_;
    return std::nullopt;
}

} // namespace imprint::archive
