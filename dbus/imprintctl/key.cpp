// SPDX-License-Identifier: Apache-2.0
#include "dbus/imprintctl/key.h"

#include "daemon/base/file.h"
#include "daemon/pki/public_key.h"
#include "daemon/structures/data_key.h"
#include "daemon/structures/name.h"
#include "dbus/imprintctl/recovery.h"
#include "provisioning/device/data_keys.h"

#include <CLI/CLI.hpp>

#include <iostream>
#include <unistd.h>

namespace imprint::ctl {

namespace {

constexpr std::size_t max_signed = 64 * 1024 * 1024; // bytes, hashed here

int append_bytes(sd_bus_message* call, BytesView bytes)
{
    return sd_bus_message_append_array(call, 'y', bytes.data(), bytes.size());
}

Secret bytes_of(const dbus::Message& answer)
{
    sd_bus_message_sensitive(answer.get()); // erased when it is freed
    const void* data = nullptr;
    std::size_t size = 0;
    if (const int result = sd_bus_message_read_array(answer.get(), 'y', &data, &size); result < 0)
        throw bus_failure(result);
    return Secret(BytesView(static_cast<const std::uint8_t*>(data), size));
}

// A method that takes label and bytes.
Secret call(Client& client, const char* method, const std::string& label, BytesView bytes)
{
    return bytes_of(client.call(method, [&](sd_bus_message* message) {
        const int result = sd_bus_message_append(message, "s", label.c_str());
        return result < 0 ? result : append_bytes(message, bytes);
    }));
}

nlohmann::ordered_json describe_key(Client& client, const std::string& label)
{
    const auto answer = client.call(
        "GetKey", [&](sd_bus_message* message) { return sd_bus_message_append(message, "s", label.c_str()); });
    nlohmann::ordered_json key{{"label", label}};
    key.update(read_dictionary(answer.get()));
    return key;
}

// The one that is asked for, or the first that the key knows.
const structures::SignatureAlgorithm& algorithm_of(Client& client, const KeyRequest& request)
{
    std::string name = request.algorithm;
    if (name.empty()) {
        const auto key = describe_key(client, request.label);
        if (key["algorithms"].empty())
            throw Error(Reason::data_key_unsuitable, "the key " + request.label + " does not sign");
        name = key["algorithms"][0].get<std::string>();
    }
    const auto* algorithm = structures::signature_algorithm(name);
    if (algorithm == nullptr)
        throw Error(Reason::invalid_argument, "there is no signature algorithm " + name);
    return *algorithm;
}

nlohmann::ordered_json list_keys(Client& client)
{
    auto all = nlohmann::ordered_json::array();
    const auto properties = client.properties();
    for (const auto& label : properties["Keys"])
        all.push_back(describe_key(client, label.get<std::string>()));
    return all;
}

Secret sign(Client& client, const KeyRequest& request)
{
    const Bytes content = read_input(request.file, max_signed, "what is to be signed");
    const auto& algorithm = algorithm_of(client, request);
    const Bytes digest = structures::digest(algorithm.scheme.details.any.hashAlg, content);
    return bytes_of(client.call("Sign", [&](sd_bus_message* message) {
        const std::string name(algorithm.name);
        const int result = sd_bus_message_append(message, "ss", request.label.c_str(), name.c_str());
        return result < 0 ? result : append_bytes(message, digest);
    }));
}

Secret hmac(Client& client, const KeyRequest& request)
{
    return call(client, "Hmac", request.label, read_input(request.file, device::max_hmac_message, "a message"));
}

Secret decrypt(Client& client, const KeyRequest& request)
{
    return call(client, "Decrypt", request.label, read_input(request.file, device::max_key_input, "a ciphertext"));
}

Secret derive(Client& client, const KeyRequest& request)
{
    return bytes_of(client.call("Derive", [&](sd_bus_message* message) {
        int result = sd_bus_message_append(message, "s", request.label.c_str());
        if (result >= 0)
            result = append_bytes(message, as_bytes(request.context));
        return result < 0 ? result : sd_bus_message_append(message, "u", request.length);
    }));
}

Secret agree(Client& client, const KeyRequest& request)
{
    return call(client, "Agree", request.label, pki::read_public_key(request.peer));
}

Secret open_secret(Client& client, const KeyRequest& request)
{
    return bytes_of(client.call("OpenSecret", [&](sd_bus_message* message) {
        return sd_bus_message_append(message, "s", request.label.c_str());
    }));
}

// What comes of it may be a secret, or cannot be had again: the way out is looked at first.
void use_one(Client& client, const Output& output, const Style& style, const KeyRequest& request)
{
    if (request.output == "-" && isatty(STDOUT_FILENO) != 0 && !request.hex && !style.json)
        throw Error(Reason::invalid_argument, "the answer is binary: give --out FILE or --hex");
    const Secret answer = request.use(client, request);
    const Secret text(as_bytes(hex(answer.view()) + "\n"));
    if (style.json)
        return output.document({{"value", hex(answer.view())}});
    const BytesView shown = request.hex ? text.view() : answer.view();
    if (request.output != "-")
        return write_file(request.output, shown, 0600);
    std::cout.write(as_text(shown).data(), static_cast<std::streamsize>(shown.size())).flush();
    if (!std::cout)
        throw Error(Reason::storage_failed, "cannot write to stdout");
}

void list(Client& client, const Output& output, const Style& style)
{
    const auto keys = list_keys(client);
    if (style.json)
        return output.document({{"keys", keys}});
    for (const auto& key : keys)
        output.line(key["label"].get<std::string>() + "  " + key["kind"].get<std::string>());
}

} // namespace

void declare_keys(CLI::App& app, KeyRequest& request, const std::function<void()>& chosen)
{
    auto* keys = app.add_subcommand("key", "Use the keys of the data package")->require_subcommand(1);
    keys->callback(chosen);
    const auto add = [&](const char* name, const char* help) {
        auto* one = keys->add_subcommand(name, help);
        one->add_option("LABEL", request.label, "The key's label")->required();
        return one;
    };
    const auto add_use = [&](const char* name, const char* help, Secret (*use)(Client&, const KeyRequest&)) {
        auto* one = add(name, help)->callback([&request, use] { request.use = use; });
        one->add_option("-o,--out", request.output, "Where the answer goes: a file, or - for stdout (default)");
        one->add_flag("--hex", request.hex, "The answer in hexadecimal");
        return one;
    };
    const auto add_file = [&](CLI::App* one) {
        one->add_option("FILE", request.file, "File, or - for stdin (default)");
        return one;
    };
    keys->add_subcommand("list", "List all");
    add("show", "Show public key, certificate and what it can do");
    add_file(add_use("sign", "Sign a file or stdin", sign))
        ->add_option("--algorithm", request.algorithm, "One of those that show lists (default: the first)");
    add_file(add_use("hmac", "HMAC-SHA256 of at most 1,024 bytes", hmac));
    auto* derive_one = add_use("derive", "Derive a key for a context", derive);
    derive_one->add_option("--context", request.context, "What it is for")->required();
    derive_one->add_option("--length", request.length, "Bytes")->check(CLI::Range(1U, 256U))->capture_default_str();
    add_use("agree", "Agree on a secret with another public key (ECDH)", agree)
        ->add_option("PEER", request.peer, "The other public key (PEM)")
        ->required();
    add_file(add_use("decrypt", "Decrypt (RSA-OAEP, SHA-256)", decrypt));
    add_use("open", "Read an opaque secret", open_secret);
}

void use_keys(Client& client, const Output& output, const Style& style, const KeyRequest& request)
{
    if (request.label.empty())
        list(client, output, style);
    else if (request.use == nullptr)
        output.key(describe_key(client, request.label));
    else
        use_one(client, output, style, request);
}

} // namespace imprint::ctl
