// SPDX-License-Identifier: Apache-2.0
// The methods that use the data package's keys.
#include "daemon/pki/public_key.h"
#include "dbus/arguments.h"
#include "dbus/boundary.h"
#include "dbus/service.h"

namespace imprint::dbus {

namespace {

using Operation = device::KeyUse::Operation;

constexpr auto* use_key_action = "org.imprint.Device1.use-key";
constexpr auto* open_secret_action = "org.imprint.Device1.open-secret";

std::string certificate_pem(const Bytes& der)
{
    return to_string(pki::to_pem({pki::Certificate::from_der(der).or_throw()}));
}

void append_key(sd_bus_message* message, const device::KeyInfo& key)
{
    check(sd_bus_message_open_container(message, 'a', "{sv}"), "describe a key");
    append_entry(message, "kind", "s", std::string(structures::name(key.kind)));
    append_entry(message, "algorithms", "as", key.algorithms);
    if (!key.public_key.empty())
        append_entry(message, "public-key", "s", to_string(pki::public_key_pem(key.public_key)));
    if (!key.certificate.empty())
        append_entry(message, "certificate", "s", certificate_pem(key.certificate));
    append_entry(message, "key-file", "b", key.key_file);
    if (!key.key_file_path.empty())
        append_entry(message, "key-file-path", "s", printable(key.key_file_path.string()));
    check(sd_bus_message_close_container(message), "describe a key");
}

} // namespace

// Public data: no authorization.
void Service::get_key(sd_bus_message* call)
{
    const auto key = device_.key(read_text(call));
    check(reply_with(call, [&key](sd_bus_message* reply) { append_key(reply, key); }), "answer a call");
}

void Service::sign(sd_bus_message* call)
{
    device::KeyUse use{.operation = Operation::sign, .label = read_text(call)};
    use.algorithm = read_text(call);
    use.input = read_bytes(call, device::max_key_input);
    use_key(call, std::move(use));
}

void Service::hmac(sd_bus_message* call) { use_with(call, Operation::hmac, device::max_hmac_message); }

void Service::derive(sd_bus_message* call)
{
    device::KeyUse use{.operation = Operation::derive, .label = read_text(call)};
    use.input = read_bytes(call, device::max_derive_context);
    use.length = read_number(call);
    use_key(call, std::move(use));
}

void Service::agree(sd_bus_message* call) { use_with(call, Operation::agree, device::max_key_input); }

void Service::decrypt(sd_bus_message* call) { use_with(call, Operation::decrypt, device::max_key_input); }

void Service::open_secret(sd_bus_message* call)
{
    use_key(call, {.operation = Operation::open, .label = read_text(call)});
}

// Label and bytes are all that the call has.
void Service::use_with(sd_bus_message* call, Operation operation, std::size_t limit)
{
    device::KeyUse use{.operation = operation, .label = read_text(call)};
    use.input = read_bytes(call, limit);
    use_key(call, std::move(use));
}

// The label goes to polkit, so that its rules can tell who may use which key.
void Service::use_key(sd_bus_message* call, device::KeyUse use)
{
    const auto* action = use.operation == Operation::open ? open_secret_action : use_key_action;
    const Authorization::Details details{{"label", use.label}};
    authorization_.check(
        call, action,
        [this, use = std::move(use)](sd_bus_message* authorized, uid_t) {
            if (stopped_)
                throw Error(Reason::cancelled, "the service is stopping");
            key_calls_.begin(authorized, [this, use] { return device_.use_key(use); });
        },
        details);
}

} // namespace imprint::dbus
