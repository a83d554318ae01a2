// SPDX-License-Identifier: Apache-2.0
#include "dbus/key_calls.h"

#include "dbus/boundary.h"

namespace imprint::dbus {

namespace {

constexpr std::size_t most_calls = 64;

Result<Secret> outcome_of(const KeyCalls::Work& work)
{
    Result<Secret> result = Refusal{Reason::internal, "the call has no outcome"};
    if (const auto failure = failure_of([&] { result = work(); }))
        return *failure;
    return result;
}

} // namespace

KeyCalls::KeyCalls(sd_event* loop, Failed failed, std::function<void(const Refusal&)> faulty)
    : failed_(std::move(failed))
    , bell_(
          loop, [this] { answer_all(); }, std::move(faulty))
{
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

KeyCalls::~KeyCalls() = default;

void KeyCalls::begin(sd_bus_message* call, Work work)
{
    if (calls_.size() >= most_calls)
        throw Error(Reason::busy, "too many calls wait for the TPM");
    const auto number = next_++;
    calls_.emplace(number, keep(call));
    {
        const std::lock_guard lock(mutex_);
        waiting_.emplace_back(number, std::move(work));
    }
    wake_.notify_one();
}

void KeyCalls::run(const std::stop_token& stop)
{
    std::unique_lock lock(mutex_);
    while (wake_.wait(lock, stop, [this] { return !waiting_.empty(); })) {
        const auto [number, work] = std::move(waiting_.front());
        waiting_.pop_front();
        lock.unlock();
        auto result = outcome_of(work);
        lock.lock();
        ended_.emplace_back(number, std::move(result));
        bell_.ring();
    }
}

void KeyCalls::answer_all()
{
    std::vector<Ended> ended;
    {
        const std::lock_guard lock(mutex_);
        ended.swap(ended_);
    }
    for (const auto& [number, result] : ended) {
        const auto call = calls_.extract(number);
        answer(call.mapped().get(), result);
    }
}

// An answer that cannot be sent has nobody to read it.
void KeyCalls::answer(sd_bus_message* call, const Result<Secret>& result) const
{
    if (!result) {
        failed_(call, result.refusal());
        reply_error(call, result.refusal());
        return;
    }
    reply_with(call, [&result](sd_bus_message* reply) {
        check(sd_bus_message_sensitive(reply), "answer a call"); // erased when it is freed
        check(sd_bus_message_append_array(reply, 'y', result->data(), result->size()), "answer a call");
    });
}

} // namespace imprint::dbus
