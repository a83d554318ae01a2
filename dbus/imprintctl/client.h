// SPDX-License-Identifier: Apache-2.0
// The caller's end of org.imprint.Device1. Everything here throws Failure.
#pragma once

#include "dbus/handles.h"
#include "dbus/imprintctl/failure.h"

#include <nlohmann/json.hpp>

#include <array>
#include <functional>
#include <list>
#include <variant>

namespace imprint::ctl {

// a{sv}, its values in the types that the interface has.
nlohmann::ordered_json read_dictionary(sd_bus_message* message);

class Client {
public:
    using Arguments = std::function<int(sd_bus_message*)>; // appends them; returns what libsystemd returned
    using Progress = std::function<void(unsigned percent, const std::string& step)>;

    Client();

    // All properties, by their names on the bus.
    nlohmann::ordered_json properties();
    // Calls a method and waits as long as it takes. SIGINT and SIGTERM call Cancel; a second one ends the waiting.
    dbus::Message call(const char* method, const Arguments& arguments = {}, const Progress& progress = {});
    // The same without waiting: any number at once, answered while the loop runs.
    using Answer = std::variant<dbus::Message, Failure>;
    using Answered = std::function<void(Answer)>; // must not throw
    void begin(const char* method, const Arguments& arguments, Answered answered);

    sd_event* loop() const { return loop_.get(); }
    // Runs the loop until SIGINT, SIGTERM, or the end of the bus.
    void run_until_interrupted();
    // From now on signals do what they do to everybody.
    void leave_signals();

private:
    dbus::Message new_call(const char* interface, const char* method);
    static int on_answer(sd_bus_message* answer, void* self, sd_bus_error*) noexcept;
    static int on_change(sd_bus_message* signal, void* self, sd_bus_error*) noexcept;
    struct Pending {
        Client* client;
        Answered answered;
        dbus::Slot slot;
        std::list<Pending>::iterator place;
    };
    static int on_begun(sd_bus_message* answer, void* pending, sd_bus_error*) noexcept;
    static int on_signal(sd_event_source*, const signalfd_siginfo*, void* self) noexcept;

    dbus::Event loop_;
    dbus::Bus bus_;
    std::array<dbus::EventSource, 2> signals_;
    dbus::Slot changes_;
    std::list<Pending> pending_;
    Progress progress_;
    dbus::Message answer_;
    unsigned interrupts_ = 0;
    bool running_ = false; // until interrupted
};

} // namespace imprint::ctl
