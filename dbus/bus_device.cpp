// SPDX-License-Identifier: Apache-2.0
#include "dbus/bus_device.h"

#include "daemon/structures/name.h"
#include "dbus/boundary.h"
#include "dbus/long_call.h"

namespace imprint::dbus {

namespace {

constexpr std::string_view no_step;
constexpr auto* properties_interface = "org.freedesktop.DBus.Properties";

Refusal refusal_of(const sd_bus_error& error)
{
    const std::string message = error.message != nullptr ? error.message : "";
    if (const auto reason = reason_named(error.name))
        return {*reason, printable(message.substr(0, message.rfind('\n')))};
    const std::string_view name = error.name;
    const std::string detail = printable(name) + ": " + printable(message);
    if (name == SD_BUS_ERROR_ACCESS_DENIED)
        return {Reason::not_authorized, detail};
    if (name == SD_BUS_ERROR_NO_REPLY || name == SD_BUS_ERROR_TIMEOUT)
        return {Reason::timed_out, detail};
    return {Reason::connection_refused, detail};
}

// What the bus could not do.
int require(int result, const char* doing)
{
    if (result < 0)
        throw Error(result == -ETIMEDOUT ? Reason::timed_out : Reason::connection_lost,
                    std::string("cannot ") + doing + ": " + std::strerror(-result));
    return result;
}

Bus opened(sd_bus* bus, int result, const std::string& where)
{
    Bus owned(bus);
    if (result < 0)
        throw Error(Reason::connection_refused, where + ": " + std::strerror(-result));
    return owned;
}

class BusError {
public:
    BusError() = default;
    BusError(const BusError&) = delete;
    BusError& operator=(const BusError&) = delete;
    ~BusError() { sd_bus_error_free(&error); }
    sd_bus_error error = SD_BUS_ERROR_NULL;
};

// Whether a PropertiesChanged signal says that a call does something: no more of it is waiting for leave.
bool says_working(sd_bus_message* signal)
{
    require(sd_bus_message_skip(signal, "s"), "read a signal");
    require(sd_bus_message_enter_container(signal, 'a', "{sv}"), "read a signal");
    while (require(sd_bus_message_enter_container(signal, 'e', "sv"), "read a signal") > 0) {
        const char* name = nullptr;
        require(sd_bus_message_read(signal, "s", &name), "read a signal");
        if (std::string_view(name) == "Progress") {
            std::uint32_t percent = 0;
            const char* step = nullptr;
            require(sd_bus_message_read(signal, "v", "(us)", &percent, &step), "read a signal");
            return std::string_view(step) != no_step && std::string_view(step) != first_step;
        }
        require(sd_bus_message_skip(signal, "v"), "read a signal");
        require(sd_bus_message_exit_container(signal), "read a signal");
    }
    return false;
}

} // namespace

// What is heard of the call until it does something or has ended.
struct BusDevice::Started {
    bool working = false;
    Message answer;

    static int on_change(sd_bus_message* signal, void* self, sd_bus_error*) noexcept
    {
        // A signal that cannot be read tells nothing.
        static_cast<void>(failure_of([&] { static_cast<Started*>(self)->working |= says_working(signal); }));
        return 0;
    }
    static int on_answer(sd_bus_message* answer, void* self, sd_bus_error*) noexcept
    {
        static_cast<Started*>(self)->answer = keep(answer);
        return 1;
    }
};

Bus BusDevice::system_bus()
{
    sd_bus* bus = nullptr;
    const int result = sd_bus_open_system_with_description(&bus, "imprint");
    return opened(bus, result, "the system bus");
}

Bus BusDevice::remote_bus(const std::string& host)
{
    // ssh would read options out of it.
    if (host.empty() || host.front() == '-')
        throw Error(Reason::invalid_argument, "not a host: " + host);
    sd_bus* bus = nullptr;
    const int result = sd_bus_open_system_remote(&bus, host.c_str());
    return opened(bus, result, "the system bus of " + host);
}

BusDevice::BusDevice(Bus bus, std::chrono::seconds patience)
    : bus_(std::move(bus))
    , patience_(patience)
{
    require(sd_bus_set_method_call_timeout(bus_.get(),
                                           static_cast<std::uint64_t>(std::chrono::microseconds(patience).count())),
            "set a time limit");
}

std::string BusDevice::chip()
{
    BusError error;
    char* text = nullptr;
    const int result = sd_bus_get_property_string(bus_.get(), service_name, object_path, interface_name, "ChipId",
                                                  &error.error, &text);
    const Owned<char, std::free> owned(text);
    if (sd_bus_error_is_set(&error.error) != 0)
        throw Error(refusal_of(error.error));
    require(result, "read the chip identifier");
    if (!structures::is_chip_identifier(text))
        throw Error(Reason::tpm_unavailable, "the device does not know its chip");
    return text;
}

Message BusDevice::personalize_call(const Secret& ticket, const std::string& address)
{
    sd_bus_message* raw = nullptr;
    require(sd_bus_message_new_method_call(bus_.get(), &raw, service_name, object_path, interface_name, "Personalize"),
            "make a call");
    Message call(raw);
    require(sd_bus_message_sensitive(raw), "make a call");
    Secret terminated(ticket.view());
    terminated.resize(ticket.size() + 1);
    require(sd_bus_message_append(raw, "sa{sv}", address.c_str(), 2, "ticket", "s",
                                  reinterpret_cast<const char*>(terminated.data()), "switch", "b", 1),
            "make a call");
    return call;
}

// A call that runs already would look like ours.
void BusDevice::require_idle()
{
    BusError error;
    int busy = 0;
    const int result = sd_bus_get_property_trivial(bus_.get(), service_name, object_path, interface_name, "Busy",
                                                   &error.error, 'b', &busy);
    if (sd_bus_error_is_set(&error.error) != 0)
        throw Error(refusal_of(error.error));
    require(result, "ask whether the device is busy");
    if (busy != 0)
        throw Error(Reason::busy, "a call runs already");
}

void BusDevice::introduce(const Secret& ticket, const std::string& address)
{
    require_idle();
    const auto deadline = std::chrono::steady_clock::now() + patience_;
    Started started;
    sd_bus_slot* raw = nullptr;
    require(sd_bus_match_signal(bus_.get(), &raw, service_name, object_path, properties_interface, "PropertiesChanged",
                                Started::on_change, &started),
            "listen to the device");
    const Slot changes(raw);
    const auto call = personalize_call(ticket, address);
    // It may take as long as it wants; we do not wait for its end.
    require(sd_bus_call_async(bus_.get(), &raw, call.get(), Started::on_answer, &started, UINT64_MAX),
            "call the device");
    const Slot pending(raw);
    while (!started.answer && !started.working) {
        const auto left =
            std::chrono::duration_cast<std::chrono::microseconds>(deadline - std::chrono::steady_clock::now());
        if (left.count() <= 0)
            throw Error(Reason::timed_out, "the device has not begun");
        if (require(sd_bus_process(bus_.get(), nullptr), "hear from the device") == 0)
            require(sd_bus_wait(bus_.get(), static_cast<std::uint64_t>(left.count())), "hear from the device");
    }
    if (started.answer && sd_bus_message_get_error(started.answer.get()) != nullptr)
        throw Error(refusal_of(*sd_bus_message_get_error(started.answer.get())));
}

} // namespace imprint::dbus
