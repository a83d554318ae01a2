// SPDX-License-Identifier: Apache-2.0
#include "dbus/long_call.h"

#include "dbus/boundary.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace imprint::dbus {

LongCall::LongCall(sd_event* loop, std::function<void()> progressed, std::function<void(const Refusal&)> faulty)
    : progressed_(std::move(progressed))
    , faulty_(std::move(faulty))
    , told_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))
{
    if (!told_)
        throw_errno("cannot make an eventfd");
    sd_event_source* source = nullptr;
    check(sd_event_add_io(loop, &source, told_.get(), EPOLLIN, on_told, this), "watch an eventfd");
    source_.reset(source);
}

LongCall::~LongCall() { cancel(); }

void LongCall::start(Work work, Done done)
{
    if (running())
        throw Error(Reason::busy, "one call runs already");
    cancel_.emplace();
    done_ = std::move(done);
    progress_ = {0, first_step};
    ended_ = false;
    failure_.reset();
    thread_ = std::jthread([this, work = std::move(work)] { run(work); });
}

void LongCall::cancel() noexcept
{
    if (cancel_)
        cancel_->cancel();
}

ProgressReport LongCall::progress() const
{
    const std::lock_guard lock(mutex_);
    return progress_;
}

void LongCall::run(const Work& work) noexcept
{
    auto failure = failure_of(
        [&] { work([this](unsigned percent, const std::string& step) { report(percent, step); }, *cancel_); });
    {
        const std::lock_guard lock(mutex_);
        failure_ = std::move(failure);
        ended_ = true;
    }
    tell_loop();
}

void LongCall::report(unsigned percent, const std::string& step)
{
    {
        const std::lock_guard lock(mutex_);
        progress_ = {percent, printable(step)};
    }
    tell_loop();
}

void LongCall::tell_loop() const noexcept
{
    // Only the counter's overflow could fail here, and then the loop has been told often enough.
    [[maybe_unused]] const auto written = eventfd_write(told_.get(), 1);
}

int LongCall::on_told(sd_event_source*, int, std::uint32_t, void* self) noexcept
{
    auto& call = *static_cast<LongCall*>(self);
    if (const auto failure = failure_of([&] { call.in_loop(); }))
        call.faulty_(*failure);
    return 0;
}

void LongCall::in_loop()
{
    eventfd_t ignored = 0;
    eventfd_read(told_.get(), &ignored);
    bool ended = false;
    {
        const std::lock_guard lock(mutex_);
        ended = ended_;
    }
    if (!ended)
        return progressed_();
    thread_.join();
    thread_ = {};
    cancel_.reset();
    progress_ = {};
    // Done may start the next call.
    const auto done = std::exchange(done_, nullptr);
    const auto failure = std::exchange(failure_, std::nullopt);
    ended_ = false;
    done(failure);
}

} // namespace imprint::dbus
