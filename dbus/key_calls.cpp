// SPDX-License-Identifier: Apache-2.0
#include "dbus/key_calls.h"

#include "dbus/boundary.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

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
    , faulty_(std::move(faulty))
    , told_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))
{
    if (!told_)
        throw_errno("cannot make an eventfd");
    sd_event_source* source = nullptr;
    check(sd_event_add_io(loop, &source, told_.get(), EPOLLIN, on_told, this), "watch an eventfd");
    source_.reset(source);
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
        // Only the counter's overflow could fail here, and then the loop has been told often enough.
        [[maybe_unused]] const auto written = eventfd_write(told_.get(), 1);
    }
}

int KeyCalls::on_told(sd_event_source*, int, std::uint32_t, void* data) noexcept
{
    auto& self = *static_cast<KeyCalls*>(data);
    eventfd_t ignored = 0;
    eventfd_read(self.told_.get(), &ignored);
    if (const auto failure = failure_of([&] { self.answer_all(); }))
        self.faulty_(*failure);
    return 0;
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
        sd_bus_error error = SD_BUS_ERROR_NULL;
        set_error(&error, result.refusal());
        sd_bus_reply_method_error(call, &error);
        sd_bus_error_free(&error);
        return;
    }
    sd_bus_message* raw = nullptr;
    check(sd_bus_message_new_method_return(call, &raw), "answer a call");
    const Message reply(raw);
    check(sd_bus_message_sensitive(raw), "answer a call"); // erased when it is freed
    check(sd_bus_message_append_array(raw, 'y', result->data(), result->size()), "answer a call");
    sd_bus_send(nullptr, raw, nullptr);
}

} // namespace imprint::dbus
