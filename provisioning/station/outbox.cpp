// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/outbox.h"

#include "provisioning/server/in_worker.h"
#include "provisioning/server/log.h"

#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>

#include <algorithm>

namespace imprint::station {

namespace asio = boost::asio;
using server::in_worker;

namespace {

constexpr std::chrono::seconds first_delay{1};
constexpr std::chrono::seconds longest_pause{60};
constexpr std::uint32_t most_doublings = 12; // 4,096 s
constexpr std::chrono::seconds longest_delay{3600};
constexpr std::chrono::seconds exchange_limit{30};

pki::Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

std::string what(const OutboxEntry& entry)
{
    return entry.sequence == 0 ? "replacement" : "sequence " + std::to_string(entry.sequence);
}

void report(const OutboxEntry& entry, const Handover& handover)
{
    server::Fields fields{{"CHIP", entry.chip}, {"SEQUENCE", std::to_string(entry.sequence)}};
    if (!handover.detail.empty())
        fields.emplace_back("DETAIL", handover.detail);
    switch (handover.outcome) {
    case Handover::Outcome::accepted:
        log(server::Priority::info, "record delivered to the archive", fields);
        break;
    case Handover::Outcome::conflict:
        log(server::Priority::error, "the archive has another record: see imprint-station outbox", fields);
        break;
    case Handover::Outcome::refused:
        log(server::Priority::error, "the archive refused a record", fields);
        break;
    case Handover::Outcome::unreachable:
        log(server::Priority::warning, "the archive cannot be reached", fields);
        break;
    }
}

AuditEntry audit_entry(const OutboxEntry& entry, const Handover& handover)
{
    const bool good = handover.outcome == Handover::Outcome::accepted;
    return {.time = now(),
            .event = good ? "delivered" : "delivery-conflict",
            .chip = entry.chip,
            .peer = "archive",
            .detail = what(entry) + (good ? "" : ": " + handover.detail)};
}

// Further ahead than any delay: the clock was set back since then, and the entry would wait for it to come round.
bool is_later(pki::Time time) { return time > now() && time <= now() + longest_delay; }

// One transaction for what the archive said.
void enter(Store& store, const OutboxEntry& entry, const Handover& handover)
{
    auto transaction = store.begin();
    switch (handover.outcome) {
    case Handover::Outcome::accepted:
        store.delivered(entry, handover.receipt);
        store.audit(audit_entry(entry, handover));
        break;
    case Handover::Outcome::conflict:
        store.failed(entry, Delivery::conflict, now(), handover.detail);
        store.audit(audit_entry(entry, handover));
        break;
    case Handover::Outcome::refused:
        store.failed(entry, Delivery::waiting, now() + retry_delay(entry.attempts), handover.detail);
        break;
    case Handover::Outcome::unreachable: // not this record's fault: its turn stays
        store.failed(entry, Delivery::waiting, entry.next_attempt, handover.detail);
        break;
    }
    transaction.commit();
}

void remove(Store& store, const DeliveredPairs& pairs)
{
    auto transaction = store.begin();
    const auto count = store.remove_pairs(pairs.chip, pairs.sequence);
    store.audit({.time = now(),
                 .event = "pairs-removed",
                 .chip = pairs.chip,
                 .peer = "archive",
                 .detail = "sequence " + std::to_string(pairs.sequence) + ": " + std::to_string(count)});
    transaction.commit();
    store.leave_no_trace();
}

} // namespace

std::chrono::seconds retry_delay(std::uint32_t attempts)
{
    return std::min(first_delay * (1U << std::min(attempts, most_doublings)), longest_delay);
}

Outbox::Outbox(const asio::any_io_executor& executor, asio::thread_pool& worker, Store& store, ArchiveClient& client)
    : worker_(worker)
    , store_(store)
    , client_(client)
    , timer_(executor)
{
}

void Outbox::start()
{
    asio::co_spawn(
        timer_.get_executor(), [this] { return run(); }, asio::detached);
}

void Outbox::wake()
{
    news_ = true;
    if (!away()) // an archive that is away is not asked more often for that
        timer_.cancel();
}

void Outbox::stop()
{
    stopping_ = true;
    timer_.cancel();
}

asio::awaitable<void> Outbox::deliver_once()
{
    auto query = [this] { return store_.outbox(false); };
    const std::vector<OutboxEntry> entries = co_await in_worker(worker_, query);
    for (const auto& entry : entries) {
        if (entry.state != Delivery::waiting)
            continue;
        co_await deliver(entry);
        if (away())
            co_return;
    }
    for (bool more = true; more;)
        more = co_await release();
}

asio::awaitable<std::optional<OutboxEntry>> Outbox::next()
{
    auto query = [this] { return store_.next_delivery(); };
    co_return co_await in_worker(worker_, query);
}

asio::awaitable<void> Outbox::wait_until(pki::Time time)
{
    // A timer of the steady clock: a clock that is set may make an attempt late or early, nothing else.
    timer_.expires_after(time - now());
    boost::system::error_code cancelled;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
}

asio::awaitable<void> Outbox::settle(const OutboxEntry& entry, const Handover& handover)
{
    report(entry, handover);
    auto change = [&] { enter(store_, entry, handover); };
    co_await in_worker(worker_, change);
    pause_ = handover.outcome != Handover::Outcome::unreachable
        ? std::chrono::seconds(0)
        : std::clamp<std::chrono::seconds>(pause_ * 2, first_delay, longest_pause);
}

asio::awaitable<void> Outbox::deliver(OutboxEntry entry)
{
    if (entry.sequence == 0) {
        auto query = [&] { return store_.replacement_by(entry.chip); };
        const auto replacement = co_await in_worker(worker_, query);
        const Handover handover = co_await client_.put(replacement.value(), exchange_limit);
        co_await settle(entry, handover);
        co_return;
    }
    auto query = [&] { return store_.record(entry.chip, entry.sequence); };
    const auto record = co_await in_worker(worker_, query);
    const Handover handover = co_await client_.put(record.value(), exchange_limit);
    co_await settle(entry, handover);
}

// Removes the pairs of one record that the archive gives back, with its receipt. False: no more in this round.
asio::awaitable<bool> Outbox::release()
{
    auto query = [this] {
        store_.leave_no_trace();
        return store_.delivered_pairs(released_);
    };
    const auto pairs = co_await in_worker(worker_, query);
    if (!pairs) {
        released_ = 0;
        co_return false;
    }
    auto query_record = [&] { return store_.record(pairs->chip, pairs->sequence); };
    const auto record = co_await in_worker(worker_, query_record);
    const Handover handover = co_await client_.read_back(record.value(), pairs->receipt, exchange_limit);
    if (handover.outcome != Handover::Outcome::accepted)
        log(server::Priority::warning, "a pair stays in the pool: its record cannot be read back from the archive",
            {{"CHIP", pairs->chip}, {"SEQUENCE", std::to_string(pairs->sequence)}, {"DETAIL", handover.detail}});
    if (handover.outcome == Handover::Outcome::unreachable)
        co_return false;
    released_ = pairs->place;
    auto change = [&] { remove(store_, *pairs); };
    if (handover.outcome == Handover::Outcome::accepted)
        co_await in_worker(worker_, change);
    co_return true;
}

// Delivers what is due, then releases. Returns when to look again.
asio::awaitable<pki::Time> Outbox::step()
{
    try {
        const auto entry = co_await next();
        const bool due = entry && !is_later(entry->next_attempt);
        if (due) {
            co_await deliver(*entry);
            co_return now() + pause_;
        }
        const bool more = co_await release();
        if (more)
            co_return now();
        // A command may enter a replacement, and wakes nobody.
        co_return entry ? std::min(entry->next_attempt, now() + longest_pause) : now() + longest_pause;
    } catch (const std::exception& e) { // the database: nothing is lost, the entry stands
        log(server::Priority::error, "the outbox cannot go on", {{"DETAIL", e.what()}});
        co_return now() + longest_pause;
    }
}

asio::awaitable<void> Outbox::run()
{
    while (!stopping_) {
        news_ = false;
        const pki::Time again = co_await step();
        if (!stopping_ && again > now() && (!news_ || away()))
            co_await wait_until(again);
    }
}

} // namespace imprint::station
