// SPDX-License-Identifier: Apache-2.0
#include "dbus/long_call.h"

#include "dbus/boundary.h"

namespace imprint::dbus {

LongCall::LongCall(sd_event* loop, std::function<void()> progressed, std::function<void(const Refusal&)> faulty)
    : progressed_(std::move(progressed))
    , bell_(
          loop, [this] { in_loop(); }, std::move(faulty))
{
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
    bell_.ring();
}

void LongCall::report(unsigned percent, const std::string& step)
{
    {
        const std::lock_guard lock(mutex_);
        progress_ = {percent, printable(step)};
    }
    bell_.ring();
}

void LongCall::in_loop()
{
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
