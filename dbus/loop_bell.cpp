// SPDX-License-Identifier: Apache-2.0
#include "dbus/loop_bell.h"

#include "dbus/boundary.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

namespace imprint::dbus {

LoopBell::LoopBell(sd_event* loop, std::function<void()> rung, std::function<void(const Refusal&)> faulty)
    : rung_(std::move(rung))
    , faulty_(std::move(faulty))
    , told_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))
{
    if (!told_)
        throw_errno("cannot make an eventfd");
    sd_event_source* source = nullptr;
    check(sd_event_add_io(loop, &source, told_.get(), EPOLLIN, on_told, this), "watch an eventfd");
    source_.reset(source);
}

void LoopBell::ring() const noexcept
{
    // Only the counter's overflow could fail here, and then the loop has been told often enough.
    [[maybe_unused]] const auto written = eventfd_write(told_.get(), 1);
}

int LoopBell::on_told(sd_event_source*, int, std::uint32_t, void* data) noexcept
{
    auto& self = *static_cast<LoopBell*>(data);
    eventfd_t ignored = 0;
    eventfd_read(self.told_.get(), &ignored);
    if (const auto failure = failure_of(self.rung_))
        self.faulty_(*failure);
    return 0;
}

} // namespace imprint::dbus
