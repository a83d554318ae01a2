// SPDX-License-Identifier: Apache-2.0
// The interface's properties: what was last shown of the device. Reading them never waits for anything.
#pragma once

#include "dbus/long_call.h"
#include "provisioning/device/device.h"

#include <string>
#include <utility>
#include <vector>

namespace imprint::dbus {

// One member a property, in its type on the bus.
struct Shown {
    std::string state;
    std::string state_hint;
    std::uint64_t epoch = 0;
    std::string chip_id;
    std::pair<std::string, std::string> device_identity; // kind, value
    std::string module_certificate, identity_certificate; // PEM; empty where there is none
    std::string certificate_chain; // PEM: the module certificate and its issuers
    ProgressReport progress;
    bool busy = false;
    bool ready_to_switch = false;
    std::uint64_t sequence = 0;
    std::vector<std::string> keys, key_files;
    std::uint64_t central_set = 0;
    std::uint32_t channels = 0;
    std::string tpm_vendor, tpm_firmware;
    std::string version = IMPRINT_VERSION;
};

Shown shown(const device::Status& status, const ProgressReport& progress, bool busy);

// The names of the properties that differ.
std::vector<std::string> changes(const Shown& before, const Shown& after);

// Appends a value in the type that its property has.
void append(sd_bus_message* reply, const std::string& text); // s
void append(sd_bus_message* reply, std::uint64_t number); // t
void append(sd_bus_message* reply, std::uint32_t number); // u
void append(sd_bus_message* reply, bool truth); // b
void append(sd_bus_message* reply, const std::pair<std::string, std::string>& texts); // (ss)
void append(sd_bus_message* reply, const ProgressReport& progress); // (us)
void append(sd_bus_message* reply, const std::vector<std::string>& texts); // as

// One entry of a{sv}; `type` is the value's.
template <class Value>
void append_entry(sd_bus_message* reply, const char* key, const char* type, const Value& value)
{
    check(sd_bus_message_open_container(reply, 'e', "sv"), "answer a call");
    check(sd_bus_message_append_basic(reply, 's', key), "answer a call");
    check(sd_bus_message_open_container(reply, 'v', type), "answer a call");
    append(reply, value);
    check(sd_bus_message_close_container(reply), "answer a call");
    check(sd_bus_message_close_container(reply), "answer a call");
}

} // namespace imprint::dbus
