// SPDX-License-Identifier: Apache-2.0
#include "dbus/imprintctl/failure.h"

#include "dbus/boundary.h"

#include <cstring>

namespace imprint::ctl {

namespace {

constexpr auto* start_daemon = "Check that the daemon runs: systemctl status imprintd.";

Exit exit_of(Reason reason)
{
    switch (reason) {
    case Reason::invalid_argument:
    case Reason::not_configured:
    case Reason::transaction_number_mistyped:
        return Exit::usage;
    case Reason::wrong_state:
        return Exit::wrong_state;
    case Reason::not_authorized:
        return Exit::not_authorized;
    case Reason::busy:
        return Exit::busy;
    case Reason::cancelled:
        return Exit::cancelled;
    case Reason::newest_unproven:
        return Exit::refused;
    case Reason::tpm_unavailable:
        return Exit::unreachable;
    case Reason::timed_out:
    case Reason::connection_lost:
    case Reason::connection_refused:
        return Exit::peer_unreachable;
    default:
        break;
    }
    // The numbers of what one side holds against the other's words (reason.h).
    const auto number = static_cast<std::uint32_t>(reason);
    const bool conversation = reason == Reason::malformed_message || reason == Reason::unexpected_message ||
        reason == Reason::message_too_large || reason == Reason::unsupported_version;
    const bool checks = number >= static_cast<std::uint32_t>(Reason::untrusted_certificate) &&
        number <= static_cast<std::uint32_t>(Reason::record_outdated);
    const bool personalization = number >= static_cast<std::uint32_t>(Reason::transaction_number_required) &&
        number <= static_cast<std::uint32_t>(Reason::transaction_key_invalid);
    return conversation || checks || personalization ? Exit::refused : Exit::failed;
}

} // namespace

Failure failure_of(const Refusal& refusal)
{
    return {exit_of(refusal.reason), std::string(name(refusal.reason)), std::string(sentence(refusal.reason)),
            dbus::printable(refusal.detail), std::string(hint(refusal.reason))};
}

Failure failure_of(const sd_bus_error& error)
{
    const std::string name = error.name;
    const std::string message = error.message != nullptr ? error.message : "";
    if (const auto reason = dbus::reason_named(name))
        return failure_of(Refusal{*reason, message.substr(0, message.rfind('\n'))});
    if (name == SD_BUS_ERROR_ACCESS_DENIED)
        return {Exit::not_authorized, name, "The bus does not let this user call the daemon.", message,
                "Call as root, or check the bus policy org.imprint.Device1.conf."};
    if (name == SD_BUS_ERROR_INVALID_ARGS)
        return {Exit::usage, name, "The daemon did not understand the call.", message,
                "Check that imprintctl and imprintd have the same version."};
    return {Exit::unreachable, name, "The daemon cannot be reached.", dbus::printable(message), start_daemon};
}

Failure bus_failure(int result)
{
    return {Exit::unreachable, "bus-unavailable", "The system bus cannot be used.", std::strerror(-result),
            "Check that the bus runs: systemctl status dbus."};
}

} // namespace imprint::ctl
