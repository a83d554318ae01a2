// SPDX-License-Identifier: Apache-2.0
// Where C++ meets the frames of C: no exception passes, and errors have names.
#pragma once

#include "daemon/base/error.h"

#include <systemd/sd-bus.h>

#include <optional>
#include <string>

namespace imprint::dbus {

// Text fit for D-Bus and for logs: valid UTF-8 without control characters. What is not becomes '?'. Peers of any kind
// may have had a hand in it.
std::string printable(std::string_view text);

// Fills in the named error, its message "<detail>\n<hint>"; returns the negative number that sd-bus wants of a handler.
int set_error(sd_bus_error* error, const Refusal& refusal) noexcept;

// Answers the call with that. An answer that cannot be sent has nobody to read it.
void reply_error(sd_bus_message* call, const Refusal& refusal) noexcept;

// The way back, for clients: the reason with this name on the bus, if it is one of ours.
std::optional<Reason> reason_named(std::string_view dbus_error_name);

// Runs what may throw; whatever it throws is returned as the reason why not.
template <class Body>
std::optional<Refusal> failure_of(Body&& body) noexcept
{
    try {
        body();
        return std::nullopt;
    } catch (const Error& error) {
        return error.refusal();
    } catch (const std::exception& error) {
        return Refusal{Reason::internal, error.what()};
    } catch (...) {
        return Refusal{Reason::internal, "something that is no exception was thrown"};
    }
}

// The body of every handler of sd-bus: 1 (handled), or what was thrown as an error.
template <class Body>
int guarded(sd_bus_error* error, Body&& body) noexcept
{
    const auto failure = failure_of(std::forward<Body>(body));
    return failure ? set_error(error, *failure) : 1;
}

} // namespace imprint::dbus
