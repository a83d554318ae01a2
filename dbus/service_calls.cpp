// SPDX-License-Identifier: Apache-2.0
// The methods that take the device through its life: personalization, switches, recovery, the central system.
#include "backup/package/record.h"
#include "dbus/arguments.h"
#include "dbus/boundary.h"
#include "dbus/report.h"
#include "dbus/service.h"

namespace imprint::dbus {

namespace {

// What a method needs of polkit; units/org.imprint.Device1.policy has the defaults.
namespace action {
constexpr auto* personalize = "org.imprint.Device1.personalize";
constexpr auto* enter_operating = "org.imprint.Device1.enter-operating";
constexpr auto* enter_personalization = "org.imprint.Device1.enter-personalization";
constexpr auto* recover = "org.imprint.Device1.recover";
constexpr auto* restore = "org.imprint.Device1.restore";
constexpr auto* check_recovery = "org.imprint.Device1.check-recovery";
constexpr auto* update_central = "org.imprint.Device1.update-central";
constexpr auto* adopt_root = "org.imprint.Device1.adopt-root";
constexpr auto* connect = "org.imprint.Device1.connect";
constexpr auto* cancel = "org.imprint.Device1.cancel";
} // namespace action

std::string or_configured(const std::string& given, const std::string& configured, const char* setting)
{
    if (given.empty() && configured.empty())
        throw Error(Reason::not_configured, std::string("no address is given, and ") + setting + " is not set");
    return given.empty() ? configured : given;
}

void reply_empty(sd_bus_message* call) { check(sd_bus_reply_method_return(call, ""), "answer a call"); }

} // namespace

void Service::personalize(sd_bus_message* call)
{
    const auto address = or_configured(read_text(call), settings_.station_address, "StationAddress=");
    const auto options = read_personalize_options(call);
    begin(call, action::personalize, [this, address, options](const auto& progress, const auto& cancelled) {
        device_.personalize(address, options.switch_afterwards, progress, cancelled,
                            {options.introduction.get(), options.identity});
    });
}

void Service::personalize_with_descriptor(sd_bus_message* call)
{
    // Shared, because std::function has to be able to copy it.
    const auto link = std::make_shared<Fd>(read_descriptor(call));
    const auto options = read_personalize_options(call);
    begin(call, action::personalize, [this, link, options](const auto& progress, const auto& cancelled) {
        device_.personalize(std::move(*link), options.switch_afterwards, progress, cancelled,
                            {options.introduction.get(), options.identity});
    });
}

void Service::enter_operating(sd_bus_message* call)
{
    begin(call, action::enter_operating,
          [this](const auto& progress, const auto&) { device_.enter_operating(progress); });
}

void Service::enter_personalization(sd_bus_message* call)
{
    begin(call, action::enter_personalization,
          [this](const auto& progress, const auto&) { device_.enter_personalization(progress); });
}

void Service::export_backup(sd_bus_message* call)
{
    // A file of at most package::max_record bytes, as public as the archive: no long call, no authorization.
    const auto record = device_.export_backup();
    const auto fill = [&record](sd_bus_message* reply) {
        check(sd_bus_message_append_array(reply, 'y', record.data(), record.size()), "answer a call");
    };
    check(reply_with(call, fill), "answer a call");
}

void Service::recover(sd_bus_message* call)
{
    const auto archive = or_configured(read_text(call), settings_.archive_address, "ArchiveAddress=");
    const auto sequence = read_recover_options(call);
    begin(call, action::recover, [this, archive, sequence](const auto& progress, const auto& cancelled) {
        device_.recover(archive, sequence, progress, cancelled);
    });
}

void Service::restore(sd_bus_message* call)
{
    auto record = read_bytes(call, package::max_record);
    const auto sequence = read_recover_options(call);
    begin(call, action::restore,
          [this, record = std::move(record), sequence](const auto& progress, const auto& cancelled) {
              device_.restore(record, sequence, progress, cancelled);
          });
}

void Service::check_recovery(sd_bus_message* call)
{
    const auto archive = or_configured(read_text(call), settings_.archive_address, "ArchiveAddress=");
    const auto sequence = read_recover_options(call);
    begin_check(call, [this, archive, sequence](const auto& progress, const auto& cancelled) {
        return device_.check_recovery(archive, sequence, progress, cancelled);
    });
}

void Service::check_restore(sd_bus_message* call)
{
    auto record = read_bytes(call, package::max_record);
    const auto sequence = read_recover_options(call);
    begin_check(call, [this, record = std::move(record), sequence](const auto& progress, const auto&) {
        return device_.check_restore(record, sequence, progress);
    });
}

void Service::begin_check(sd_bus_message* call, Check check)
{
    const auto found = std::make_shared<device::Recoverable>();
    begin(
        call, action::check_recovery,
        [found, check = std::move(check)](const auto& progress, const auto& cancelled) {
            *found = check(progress, cancelled);
        },
        [found](sd_bus_message* reply) { append_report(reply, *found); });
}

void Service::adopt_root(sd_bus_message* call)
{
    begin(call, action::adopt_root, [this](const auto& progress, const auto&) { device_.adopt_root(progress); });
}

void Service::update_central(sd_bus_message* call)
{
    auto set = read_bytes(call, protocol::max_central_set);
    begin(call, action::update_central,
          [this, set = std::move(set)](const auto&, const auto&) { device_.update_central(set); });
}

void Service::cancel(sd_bus_message* call)
{
    // Who began a call may end it.
    if (long_call_.running() && caller_ == sd_bus_message_get_sender(call)) {
        long_call_.cancel();
        return reply_empty(call);
    }
    authorization_.check(call, action::cancel, [this](sd_bus_message* authorized, uid_t) {
        long_call_.cancel();
        reply_empty(authorized);
    });
}

void Service::connect(sd_bus_message* call) { open_channel(call, false); }

void Service::connect_to(sd_bus_message* call) { open_channel(call, true); }

void Service::open_channel(sd_bus_message* call, bool at_a_socket)
{
    device::ChannelRequest request;
    request.address = or_configured(read_text(call), settings_.central_address, "Address= of [Central]");
    if (at_a_socket)
        request.socket = read_socket_path(call);
    const auto options = read_connect_options(call);
    request.alpn = options.alpn;
    request.timeout = options.timeout;
    authorization_.check(call, action::connect, [this, request](sd_bus_message* authorized, uid_t user) mutable {
        if (stopped_)
            throw Error(Reason::cancelled, "the service is stopping");
        request.owner = user;
        channel_calls_.open(authorized, std::move(request));
    });
}

} // namespace imprint::dbus
