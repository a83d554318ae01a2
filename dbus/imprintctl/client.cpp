// SPDX-License-Identifier: Apache-2.0
#include "dbus/imprintctl/client.h"

#include "dbus/boundary.h"

#include <csignal>
#include <unistd.h>

namespace imprint::ctl {

namespace {

constexpr std::uint64_t for_ever = UINT64_MAX;
constexpr unsigned enough_interrupts = 2; // the first asks the daemon to cancel
constexpr auto* properties_interface = "org.freedesktop.DBus.Properties";

int check(int result)
{
    if (result < 0)
        throw bus_failure(result);
    return result;
}

std::string read_text(sd_bus_message* message)
{
    const char* text = nullptr;
    check(sd_bus_message_read(message, "s", &text));
    return text;
}

// A value in one of the types that the interface has.
nlohmann::ordered_json read_value(sd_bus_message* message, std::string_view type)
{
    if (type == "s")
        return read_text(message);
    if (type == "b") {
        int truth = 0;
        check(sd_bus_message_read(message, "b", &truth));
        return truth != 0;
    }
    if (type == "t") {
        std::uint64_t number = 0;
        check(sd_bus_message_read(message, "t", &number));
        return number;
    }
    if (type == "u") {
        std::uint32_t number = 0;
        check(sd_bus_message_read(message, "u", &number));
        return number;
    }
    // Structures and arrays: lists of their elements.
    auto list = nlohmann::ordered_json::array();
    const bool array = type.starts_with('a');
    const auto content = std::string(array ? type.substr(1) : type.substr(1, type.size() - 2));
    check(sd_bus_message_enter_container(message, array ? 'a' : 'r', content.c_str()));
    for (std::size_t i = 0; array ? sd_bus_message_at_end(message, 0) == 0 : i < content.size(); ++i)
        list.push_back(read_value(message, array ? content : content.substr(i, 1)));
    check(sd_bus_message_exit_container(message));
    return list;
}

void throw_if_error(const dbus::Message& answer)
{
    if (const auto* error = sd_bus_message_get_error(answer.get()))
        throw failure_of(*error);
}

} // namespace

nlohmann::ordered_json read_dictionary(sd_bus_message* message)
{
    auto all = nlohmann::ordered_json::object();
    check(sd_bus_message_enter_container(message, 'a', "{sv}"));
    while (check(sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
        const auto name = read_text(message);
        const char* type = nullptr;
        check(sd_bus_message_peek_type(message, nullptr, &type));
        const std::string content = type;
        check(sd_bus_message_enter_container(message, 'v', content.c_str()));
        all[name] = read_value(message, content);
        check(sd_bus_message_exit_container(message));
        check(sd_bus_message_exit_container(message));
    }
    check(sd_bus_message_exit_container(message));
    return all;
}

Client::Client()
{
    sd_event* loop = nullptr;
    check(sd_event_new(&loop));
    loop_.reset(loop);
    sd_bus* bus = nullptr;
    check(sd_bus_open_system_with_description(&bus, "imprintctl"));
    bus_.reset(bus);
    check(sd_bus_attach_event(bus, loop, SD_EVENT_PRIORITY_NORMAL));
    constexpr std::array numbers{SIGINT, SIGTERM};
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        sd_event_source* source = nullptr;
        check(sd_event_add_signal(loop, &source, numbers[i], on_signal, this));
        signals_[i].reset(source);
    }
}

void Client::leave_signals()
{
    sigset_t handled;
    sigemptyset(&handled);
    for (auto& source : signals_) {
        sigaddset(&handled, sd_event_source_get_signal(source.get()));
        source.reset();
    }
    sigprocmask(SIG_UNBLOCK, &handled, nullptr);
}

void Client::run_until_interrupted()
{
    check(sd_bus_set_exit_on_disconnect(bus_.get(), 1));
    running_ = true;
    if (check(sd_event_loop(loop_.get())) != 0)
        throw bus_failure(-ENOTCONN);
}

dbus::Message Client::new_call(const char* interface, const char* method)
{
    sd_bus_message* raw = nullptr;
    check(sd_bus_message_new_method_call(bus_.get(), &raw, dbus::service_name, dbus::object_path, interface, method));
    dbus::Message message(raw);
    // polkit may ask the user only if there is one.
    check(sd_bus_message_set_allow_interactive_authorization(raw, isatty(STDIN_FILENO)));
    return message;
}

nlohmann::ordered_json Client::properties()
{
    const auto message = new_call(properties_interface, "GetAll");
    check(sd_bus_message_append(message.get(), "s", dbus::interface_name));
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message* raw = nullptr;
    const int result = sd_bus_call(bus_.get(), message.get(), 0, &error, &raw);
    const dbus::Message answer(raw);
    if (result < 0 && sd_bus_error_is_set(&error) != 0) {
        auto failure = failure_of(error);
        sd_bus_error_free(&error);
        throw failure;
    }
    check(result);
    return read_dictionary(answer.get());
}

dbus::Message Client::call(const char* method, const Arguments& arguments, const Progress& progress)
{
    progress_ = progress;
    interrupts_ = 0;
    if (progress && !changes_) {
        sd_bus_slot* slot = nullptr;
        check(sd_bus_match_signal(bus_.get(), &slot, dbus::service_name, dbus::object_path, properties_interface,
                                  "PropertiesChanged", on_change, this));
        changes_.reset(slot);
    }
    const auto message = new_call(dbus::interface_name, method);
    if (arguments)
        check(arguments(message.get()));
    sd_bus_slot* slot = nullptr;
    check(sd_bus_call_async(bus_.get(), &slot, message.get(), on_answer, this, for_ever));
    const dbus::Slot pending(slot);
    while (!answer_ && interrupts_ < enough_interrupts)
        check(sd_event_run(loop_.get(), for_ever));
    if (!answer_)
        throw Failure{Exit::cancelled, "interrupted", "The call was left alone.", "",
                      "It goes on: see imprintctl status."};
    auto answer = std::move(answer_);
    throw_if_error(answer);
    return answer;
}

void Client::begin(const char* method, const Arguments& arguments, Answered answered)
{
    const auto message = new_call(dbus::interface_name, method);
    check(arguments(message.get()));
    auto& pending = pending_.emplace_back(Pending{this, std::move(answered), nullptr, {}});
    pending.place = std::prev(pending_.end());
    sd_bus_slot* slot = nullptr;
    const int result = sd_bus_call_async(bus_.get(), &slot, message.get(), on_begun, &pending, for_ever);
    pending.slot.reset(slot);
    if (result < 0)
        pending_.pop_back();
    check(result);
}

int Client::on_begun(sd_bus_message* answer, void* data, sd_bus_error*) noexcept
{
    auto& pending = *static_cast<Pending*>(data);
    std::list<Pending> ended;
    ended.splice(ended.begin(), pending.client->pending_, pending.place);
    if (const auto* error = sd_bus_message_get_error(answer))
        pending.answered(failure_of(*error));
    else
        pending.answered(dbus::keep(answer));
    return 1;
}

int Client::on_answer(sd_bus_message* answer, void* data, sd_bus_error*) noexcept
{
    static_cast<Client*>(data)->answer_ = dbus::keep(answer);
    return 1;
}

int Client::on_change(sd_bus_message* signal, void* data, sd_bus_error*) noexcept
{
    auto& self = *static_cast<Client*>(data);
    try {
        read_text(signal);
        const auto changed = read_dictionary(signal);
        if (self.progress_ && changed.contains("Progress") && !changed["Progress"][1].get<std::string>().empty())
            self.progress_(changed["Progress"][0], changed["Progress"][1]);
    } catch (...) {
        // A signal that cannot be read is a progress that is not shown.
        return 0;
    }
    return 0;
}

int Client::on_signal(sd_event_source*, const signalfd_siginfo*, void* data) noexcept
{
    auto& self = *static_cast<Client*>(data);
    if (self.running_)
        return sd_event_exit(self.loop_.get(), 0);
    if (self.interrupts_++ == 0)
        sd_bus_call_method_async(self.bus_.get(), nullptr, dbus::service_name, dbus::object_path, dbus::interface_name,
                                 "Cancel", nullptr, nullptr, "");
    return 0;
}

} // namespace imprint::ctl
