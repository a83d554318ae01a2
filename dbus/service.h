// SPDX-License-Identifier: Apache-2.0
// org.imprint.Device1 on the bus. The vtable in service.cpp is the interface; org.imprint.Device1(5) explains it.
#pragma once

#include "dbus/authorization.h"
#include "dbus/channel_calls.h"
#include "dbus/key_calls.h"
#include "dbus/long_call.h"
#include "dbus/properties.h"
#include "provisioning/device/device.h"

#include <functional>
#include <optional>
#include <string>

namespace imprint::dbus {

class Service {
public:
    struct Settings {
        std::string station_address; // for Personalize with an empty address
        std::string archive_address; // for Recover with an empty address
        std::string central_address; // for Connect with an empty address
        std::function<void()> reconnect; // opens the TPM anew at its next use; on a call's thread
    };
    // What is worth a line in the journal. On the loop's thread.
    struct Happened {
        enum class What { looked, state_changed, call_began, call_ended, call_failed, faulty };
        What what;
        std::string call; // the method, where it is about one
        const Shown& device;
        std::optional<Refusal> failure; // of call_failed and faulty
    };
    using Journal = std::function<void(const Happened&)>;

    // Bus, loop and device have to outlive it.
    Service(sd_bus* bus, sd_event* loop, device::Device& device, Settings settings, Journal journal);
    ~Service();

    // Looks at the device first (on a thread), then takes the name on the bus, then runs `ready`.
    void start(std::function<void()> ready);
    // Cancels the running call, waits in the loop for its end (its caller is answered), then runs `stopped`. The loop
    // ends with EXIT_FAILURE by itself if the service cannot go on.
    void stop(std::function<void()> stopped);

    const Shown& shown_now() const { return shown_; }

    // The methods, as the vtable names them.
    void personalize(sd_bus_message* call);
    void personalize_with_descriptor(sd_bus_message* call);
    void enter_operating(sd_bus_message* call);
    void enter_personalization(sd_bus_message* call);
    void export_backup(sd_bus_message* call);
    void recover(sd_bus_message* call);
    void restore(sd_bus_message* call);
    void check_recovery(sd_bus_message* call);
    void check_restore(sd_bus_message* call);
    void update_central(sd_bus_message* call);
    void adopt_root(sd_bus_message* call);
    void cancel(sd_bus_message* call);
    void connect(sd_bus_message* call);
    void connect_to(sd_bus_message* call);
    void get_key(sd_bus_message* call);
    void sign(sd_bus_message* call);
    void hmac(sd_bus_message* call);
    void derive(sd_bus_message* call);
    void agree(sd_bus_message* call);
    void decrypt(sd_bus_message* call);
    void open_secret(sd_bus_message* call);

private:
    void use_with(sd_bus_message* call, device::KeyUse::Operation operation, std::size_t limit);
    void use_key(sd_bus_message* call, device::KeyUse use);
    void open_channel(sd_bus_message* call, bool at_a_socket);
    using Fill = std::function<void(sd_bus_message* reply)>; // appends what a call returns; none: nothing
    void begin(sd_bus_message* call, const char* action, LongCall::Work work, Fill fill = {});
    void run(sd_bus_message* call, LongCall::Work work, Fill fill);
    using Check = std::function<device::Recoverable(const device::Progress&, const tls::Cancel&)>;
    void begin_check(sd_bus_message* call, Check check);
    void ended(sd_bus_message* call, const Fill& fill, const std::optional<Refusal>& failure);
    void stop_if_asked();
    void give_up(const Refusal& fault) const;
    void show();
    void tell(Happened::What what, const std::string& call, std::optional<Refusal> failure = std::nullopt) const;

    sd_bus* bus_;
    sd_event* loop_;
    device::Device& device_;
    Settings settings_;
    Journal journal_;
    Shown shown_;
    std::string told_state_; // that the journal knows
    Authorization authorization_;
    std::string caller_; // of the running call
    std::function<void()> stopped_;
    ChannelCalls channel_calls_;
    KeyCalls key_calls_;
    LongCall long_call_; // last: its thread uses the rest
    Slot vtable_;
};

} // namespace imprint::dbus
