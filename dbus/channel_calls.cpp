// SPDX-License-Identifier: Apache-2.0
#include "dbus/channel_calls.h"

#include "dbus/boundary.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

namespace imprint::dbus {

ChannelCalls::ChannelCalls(sd_event* loop, device::Device& device, std::function<void()> changed, Failed failed,
                           std::function<void(const Refusal&)> faulty)
    : device_(device)
    , changed_(std::move(changed))
    , failed_(std::move(failed))
    , faulty_(std::move(faulty))
    , told_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))
{
    if (!told_)
        throw_errno("cannot make an eventfd");
    sd_event_source* source = nullptr;
    check(sd_event_add_io(loop, &source, told_.get(), EPOLLIN, on_told, this), "watch an eventfd");
    source_.reset(source);
    device_.watch_channels([this] { tell_loop(); });
}

ChannelCalls::~ChannelCalls()
{
    device_.watch_channels({});
    device_.end_channels();
}

void ChannelCalls::open(sd_bus_message* call, device::ChannelRequest request)
{
    const auto number = next_++;
    device_.open_channel(std::move(request), [this, number](Result<Fd> opened) {
        {
            const std::lock_guard lock(mutex_);
            opened_.emplace_back(number, std::move(opened));
        }
        tell_loop();
    });
    calls_.emplace(number, keep(call)); // before the loop can be told
}

void ChannelCalls::stop()
{
    device_.end_channels();
    answer_all();
}

void ChannelCalls::tell_loop() const noexcept
{
    // Only the counter's overflow could fail here, and then the loop has been told often enough.
    [[maybe_unused]] const auto written = eventfd_write(told_.get(), 1);
}

int ChannelCalls::on_told(sd_event_source*, int, std::uint32_t, void* self) noexcept
{
    auto& calls = *static_cast<ChannelCalls*>(self);
    eventfd_t ignored = 0;
    eventfd_read(calls.told_.get(), &ignored);
    if (const auto failure = failure_of([&] { calls.answer_all(); }))
        calls.faulty_(*failure);
    return 0;
}

void ChannelCalls::answer_all()
{
    Opened opened;
    {
        const std::lock_guard lock(mutex_);
        opened.swap(opened_);
    }
    changed_();
    for (auto& [number, result] : opened) {
        const auto call = calls_.extract(number);
        answer(call.mapped().get(), std::move(result));
    }
}

// The message has a descriptor of its own: where nobody is left to receive it, the bus closes that, and thereby the
// channel. An answer that cannot be sent is no concern of ours either.
void ChannelCalls::answer(sd_bus_message* call, Result<Fd> opened) const
{
    if (opened) {
        if (*opened)
            sd_bus_reply_method_return(call, "h", opened->get());
        else
            sd_bus_reply_method_return(call, "");
        return;
    }
    failed_(call, opened.refusal());
    sd_bus_error error = SD_BUS_ERROR_NULL;
    set_error(&error, opened.refusal());
    sd_bus_reply_method_error(call, &error);
    sd_bus_error_free(&error);
}

} // namespace imprint::dbus
