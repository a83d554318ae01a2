// SPDX-License-Identifier: Apache-2.0
// The device of a bus, introduced by its own daemon: what a courier reaches over D-Bus, and what answers it at the
// device's end of another link.
#pragma once

#include "dbus/handles.h"
#include "provisioning/protocol/link.h"

#include <chrono>

namespace imprint::dbus {

class BusDevice : public protocol::Introducible {
public:
    // This machine's system bus.
    static Bus system_bus();
    // The system bus of another machine, over ssh(1): "host" or "user@host".
    static Bus remote_bus(const std::string& host);

    // Every call is over after `patience`: Error(timed_out).
    BusDevice(Bus bus, std::chrono::seconds patience);

    std::string chip() override;
    void introduce(const Secret& ticket, const std::string& address) override;

private:
    struct Started;
    void require_idle();
    Message personalize_call(const Secret& ticket, const std::string& address);

    Bus bus_;
    std::chrono::seconds patience_;
};

} // namespace imprint::dbus
