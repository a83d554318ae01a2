// SPDX-License-Identifier: Apache-2.0
#include "dbus/channel_calls.h"

#include "dbus/boundary.h"

namespace imprint::dbus {

ChannelCalls::ChannelCalls(sd_event* loop, device::Device& device, std::function<void()> changed, Failed failed,
                           std::function<void(const Refusal&)> faulty)
    : device_(device)
    , changed_(std::move(changed))
    , failed_(std::move(failed))
    , bell_(
          loop, [this] { answer_all(); }, std::move(faulty))
{
    device_.watch_channels([this] { bell_.ring(); });
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
        bell_.ring();
    });
    calls_.emplace(number, keep(call)); // before the loop can be told
}

void ChannelCalls::stop()
{
    device_.end_channels();
    answer_all();
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
    reply_error(call, opened.refusal());
}

} // namespace imprint::dbus
