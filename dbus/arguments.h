// SPDX-License-Identifier: Apache-2.0
// The arguments of method calls, strictly read: anything odd is Error(invalid_argument).
#pragma once

#include "daemon/base/file.h"
#include "daemon/pki/profile.h"
#include "dbus/handles.h"
#include "provisioning/protocol/introduction.h"

#include <chrono>
#include <optional>
#include <memory>
#include <string>

namespace imprint::dbus {

std::string read_text(sd_bus_message* call); // s, at most 1,024 bytes
Bytes read_bytes(sd_bus_message* call, std::size_t limit); // ay
std::uint32_t read_number(sd_bus_message* call); // u
std::string read_socket_path(sd_bus_message* call); // s, an absolute path
// h: a descriptor of our own for a connected socket or a terminal line (the message's is closed with the message).
Fd read_descriptor(sd_bus_message* call);

struct PersonalizeOptions {
    bool switch_afterwards = false; // "switch" b
    // "transaction-number" s or "ticket" s, not both. Shared, because calls are copied on their way to their thread.
    std::shared_ptr<const protocol::IntroductionCode> introduction;
    std::optional<pki::DeviceIdentity> identity; // "identity" (ss): kind and value, in any form that people write
};
// a{sv}. Also Error(transaction_number_mistyped). The message is erased when it is freed: it may hold a secret.
PersonalizeOptions read_personalize_options(sd_bus_message* call);

std::optional<std::uint64_t> read_recover_options(sd_bus_message* call); // a{sv}: "sequence" t, which record to take

struct ConnectOptions {
    std::string alpn; // "alpn" s
    std::optional<std::chrono::seconds> timeout; // "timeout-sec" u, 1 to 3600
};
ConnectOptions read_connect_options(sd_bus_message* call); // a{sv}

} // namespace imprint::dbus
