// SPDX-License-Identifier: Apache-2.0
#include "dbus/service.h"

#include "dbus/boundary.h"

#include <cstdlib>
#include <memory>
#include <utility>

namespace imprint::dbus {

namespace {

template <auto Method>
int method(sd_bus_message* call, void* service, sd_bus_error* error) noexcept
{
    return guarded(error, [&] { (static_cast<Service*>(service)->*Method)(call); });
}

template <auto Member>
int property(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void* service,
             sd_bus_error* error) noexcept
{
    return guarded(error, [&] { append(reply, static_cast<Service*>(service)->shown_now().*Member); });
}

// Everybody may call; who may do it is asked in begin().
constexpr std::uint64_t open = SD_BUS_VTABLE_UNPRIVILEGED;
constexpr std::uint64_t changes_told = SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE;
constexpr std::uint64_t constant = SD_BUS_VTABLE_PROPERTY_CONST;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wold-style-cast"
const sd_bus_vtable device1[] = {
    SD_BUS_VTABLE_START(0),

    SD_BUS_PROPERTY("State", "s", property<&Shown::state>, 0, changes_told),
    SD_BUS_PROPERTY("StateHint", "s", property<&Shown::state_hint>, 0, changes_told),
    SD_BUS_PROPERTY("Epoch", "t", property<&Shown::epoch>, 0, changes_told),
    SD_BUS_PROPERTY("ChipId", "s", property<&Shown::chip_id>, 0, changes_told),
    SD_BUS_PROPERTY("DeviceIdentity", "(ss)", property<&Shown::device_identity>, 0, changes_told),
    SD_BUS_PROPERTY("ModuleCertificate", "s", property<&Shown::module_certificate>, 0, changes_told),
    SD_BUS_PROPERTY("IdentityCertificate", "s", property<&Shown::identity_certificate>, 0, changes_told),
    SD_BUS_PROPERTY("CertificateChain", "s", property<&Shown::certificate_chain>, 0, changes_told),
    SD_BUS_PROPERTY("Progress", "(us)", property<&Shown::progress>, 0, changes_told),
    SD_BUS_PROPERTY("Busy", "b", property<&Shown::busy>, 0, changes_told),
    SD_BUS_PROPERTY("ReadyToSwitch", "b", property<&Shown::ready_to_switch>, 0, changes_told),
    SD_BUS_PROPERTY("Sequence", "t", property<&Shown::sequence>, 0, changes_told),
    SD_BUS_PROPERTY("Keys", "as", property<&Shown::keys>, 0, changes_told),
    SD_BUS_PROPERTY("KeyFiles", "as", property<&Shown::key_files>, 0, changes_told),
    SD_BUS_PROPERTY("CentralSet", "t", property<&Shown::central_set>, 0, changes_told),
    SD_BUS_PROPERTY("Channels", "u", property<&Shown::channels>, 0, changes_told),
    SD_BUS_PROPERTY("TpmVendor", "s", property<&Shown::tpm_vendor>, 0, changes_told),
    SD_BUS_PROPERTY("TpmFirmware", "s", property<&Shown::tpm_firmware>, 0, changes_told),
    SD_BUS_PROPERTY("Version", "s", property<&Shown::version>, 0, constant),

    SD_BUS_METHOD_WITH_ARGS("Personalize", SD_BUS_ARGS("s", address, "a{sv}", options), SD_BUS_NO_RESULT,
                            method<&Service::personalize>, open),
    SD_BUS_METHOD_WITH_ARGS("PersonalizeWithDescriptor", SD_BUS_ARGS("h", link, "a{sv}", options), SD_BUS_NO_RESULT,
                            method<&Service::personalize_with_descriptor>, open),
    SD_BUS_METHOD_WITH_ARGS("EnterOperating", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method<&Service::enter_operating>,
                            open),
    SD_BUS_METHOD_WITH_ARGS("EnterPersonalization", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT,
                            method<&Service::enter_personalization>, open),
    SD_BUS_METHOD_WITH_ARGS("ExportBackup", SD_BUS_NO_ARGS, SD_BUS_RESULT("ay", record),
                            method<&Service::export_backup>, open),
    SD_BUS_METHOD_WITH_ARGS("Recover", SD_BUS_ARGS("s", archive, "a{sv}", options), SD_BUS_NO_RESULT,
                            method<&Service::recover>, open),
    SD_BUS_METHOD_WITH_ARGS("Restore", SD_BUS_ARGS("ay", record, "a{sv}", options), SD_BUS_NO_RESULT,
                            method<&Service::restore>, open),
    SD_BUS_METHOD_WITH_ARGS("CheckRecovery", SD_BUS_ARGS("s", archive, "a{sv}", options),
                            SD_BUS_RESULT("a{sv}", report), method<&Service::check_recovery>, open),
    SD_BUS_METHOD_WITH_ARGS("CheckRestore", SD_BUS_ARGS("ay", record, "a{sv}", options), SD_BUS_RESULT("a{sv}", report),
                            method<&Service::check_restore>, open),
    SD_BUS_METHOD_WITH_ARGS("UpdateCentral", SD_BUS_ARGS("ay", set), SD_BUS_NO_RESULT, method<&Service::update_central>,
                            open),
    SD_BUS_METHOD_WITH_ARGS("AdoptRoot", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method<&Service::adopt_root>, open),
    SD_BUS_METHOD_WITH_ARGS("Cancel", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method<&Service::cancel>, open),
    SD_BUS_METHOD_WITH_ARGS("Connect", SD_BUS_ARGS("s", address, "a{sv}", options), SD_BUS_RESULT("h", channel),
                            method<&Service::connect>, open),
    SD_BUS_METHOD_WITH_ARGS("ConnectTo", SD_BUS_ARGS("s", address, "s", socket, "a{sv}", options), SD_BUS_NO_RESULT,
                            method<&Service::connect_to>, open),

    SD_BUS_METHOD_WITH_ARGS("GetKey", SD_BUS_ARGS("s", label), SD_BUS_RESULT("a{sv}", key), method<&Service::get_key>,
                            open),
    SD_BUS_METHOD_WITH_ARGS("Sign", SD_BUS_ARGS("s", label, "s", algorithm, "ay", digest),
                            SD_BUS_RESULT("ay", signature), method<&Service::sign>, open),
    SD_BUS_METHOD_WITH_ARGS("Hmac", SD_BUS_ARGS("s", label, "ay", message), SD_BUS_RESULT("ay", mac),
                            method<&Service::hmac>, open),
    SD_BUS_METHOD_WITH_ARGS("Derive", SD_BUS_ARGS("s", label, "ay", context, "u", length), SD_BUS_RESULT("ay", key),
                            method<&Service::derive>, open),
    SD_BUS_METHOD_WITH_ARGS("Agree", SD_BUS_ARGS("s", label, "ay", peer), SD_BUS_RESULT("ay", shared),
                            method<&Service::agree>, open),
    SD_BUS_METHOD_WITH_ARGS("Decrypt", SD_BUS_ARGS("s", label, "ay", ciphertext), SD_BUS_RESULT("ay", message),
                            method<&Service::decrypt>, open),
    SD_BUS_METHOD_WITH_ARGS("OpenSecret", SD_BUS_ARGS("s", label), SD_BUS_RESULT("ay", secret),
                            method<&Service::open_secret>, open),

    SD_BUS_VTABLE_END,
};
#pragma GCC diagnostic pop

} // namespace

Service::Service(sd_bus* bus, sd_event* loop, device::Device& device, Settings settings, Journal journal)
    : bus_(bus)
    , loop_(loop)
    , device_(device)
    , settings_(std::move(settings))
    , journal_(std::move(journal))
    , shown_(shown(device_.status(), {}, false))
    , authorization_(bus)
    , channel_calls_(
          loop, device, [this] { show(); },
          [this](sd_bus_message* call, const Refusal& why) {
              tell(Happened::What::call_failed, sd_bus_message_get_member(call), why);
          },
          [this](const Refusal& fault) { give_up(fault); })
    , key_calls_(
          loop,
          [this](sd_bus_message* call, const Refusal& why) {
              tell(Happened::What::call_failed, sd_bus_message_get_member(call), why);
          },
          [this](const Refusal& fault) { give_up(fault); })
    , long_call_(
          loop, [this] { show(); }, [this](const Refusal& fault) { give_up(fault); })
{
    sd_bus_slot* slot = nullptr;
    check(sd_bus_add_object_vtable(bus_, &slot, object_path, interface_name, device1, this), "offer the interface");
    vtable_.reset(slot);
}

Service::~Service() = default;

void Service::start(std::function<void()> ready)
{
    // Callers that wait for the name (bus activation) then see the state as it is, and none of them gets Busy.
    long_call_.start([this](const auto&, const auto&) { device_.refresh(); },
                     [this, ready = std::move(ready)](const auto& failure) {
                         show();
                         told_state_ = shown_.state;
                         tell(Happened::What::looked, {}, failure);
                         check(sd_bus_request_name(bus_, service_name, 0), "take the name on the bus");
                         ready();
                         stop_if_asked();
                     });
}

void Service::stop(std::function<void()> stopped)
{
    channel_calls_.stop();
    if (!long_call_.running())
        return stopped();
    stopped_ = std::move(stopped);
    long_call_.cancel();
}

// Busy is told before anybody is asked for a password, and once more afterwards.
void Service::begin(sd_bus_message* call, const char* action, LongCall::Work work, Fill fill)
{
    if (long_call_.running())
        throw Error(Reason::busy, "a call runs already");
    authorization_.check(
        call, action,
        [this, work = std::move(work), fill = std::move(fill)](sd_bus_message* authorized, uid_t) mutable {
            run(authorized, std::move(work), std::move(fill));
        });
}

void Service::run(sd_bus_message* call, LongCall::Work work, Fill fill)
{
    if (stopped_)
        throw Error(Reason::cancelled, "the service is stopping");
    // The call goes on when its caller is gone: the message stays ours, and nobody may read the answer.
    const std::shared_ptr<sd_bus_message> kept(sd_bus_message_ref(call), sd_bus_message_unref);
    long_call_.start(
        [this, work = std::move(work)](const auto& progress, const auto& cancelled) {
            if (device_.status().state == lifecycle::State::tpm_unavailable) {
                settings_.reconnect();
                device_.refresh();
            }
            work(progress, cancelled);
        },
        [this, kept, fill = std::move(fill)](const auto& failure) { ended(kept.get(), fill, failure); });
    caller_ = sd_bus_message_get_sender(call);
    show();
    tell(Happened::What::call_began, sd_bus_message_get_member(call));
}

void Service::ended(sd_bus_message* call, const Fill& fill, const std::optional<Refusal>& failure)
{
    show();
    tell(failure ? Happened::What::call_failed : Happened::What::call_ended, sd_bus_message_get_member(call), failure);
    if (std::exchange(told_state_, shown_.state) != shown_.state)
        tell(Happened::What::state_changed, {});
    // An answer that cannot be sent has nobody to read it.
    if (failure)
        reply_error(call, *failure);
    else if (fill)
        reply_with(call, fill);
    else
        sd_bus_reply_method_return(call, "");
    stop_if_asked();
}

void Service::stop_if_asked()
{
    if (const auto stopped = std::exchange(stopped_, nullptr))
        stopped();
}

void Service::give_up(const Refusal& fault) const
{
    tell(Happened::What::faulty, {}, fault);
    sd_event_exit(loop_, EXIT_FAILURE);
}

// Takes what the device and the call say now as the properties' values, and tells the bus what changed.
void Service::show()
{
    auto before = std::exchange(shown_, shown(device_.status(), long_call_.progress(), long_call_.running()));
    const auto names = changes(before, shown_);
    if (names.empty())
        return;
    std::vector<char*> pointers;
    pointers.reserve(names.size() + 1);
    for (const auto& name : names)
        pointers.push_back(const_cast<char*>(name.c_str()));
    pointers.push_back(nullptr);
    check(sd_bus_emit_properties_changed_strv(bus_, object_path, interface_name, pointers.data()),
          "tell that properties changed");
}

void Service::tell(Happened::What what, const std::string& call, std::optional<Refusal> failure) const
{
    journal_({what, call, shown_, std::move(failure)});
}

} // namespace imprint::dbus
