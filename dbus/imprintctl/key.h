// SPDX-License-Identifier: Apache-2.0
// imprintctl key: the keys of the data package, by their labels.
#pragma once

#include "daemon/base/secret.h"
#include "dbus/imprintctl/client.h"
#include "dbus/imprintctl/output.h"

#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace imprint::ctl {

// What the command line says of a key and its use.
struct KeyRequest {
    std::string label; // empty: all are to be listed
    Secret (*use)(Client& client, const KeyRequest& request) = nullptr; // nullptr: it is to be shown
    std::string file = "-"; // sign, hmac, decrypt: what is read
    std::string algorithm; // sign; empty: the key's usual one
    std::string context; // derive
    unsigned length = 32; // derive, bytes
    std::string peer; // agree: a file with the other side's public key, PEM
    std::string output = "-";
    bool hex = false;
};

// Declares the commands; whichever is given runs `chosen`.
void declare_keys(CLI::App& app, KeyRequest& request, const std::function<void()>& chosen);

// Does what was asked for.
void use_keys(Client& client, const Output& output, const Style& style, const KeyRequest& request);

} // namespace imprint::ctl
