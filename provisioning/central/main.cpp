// SPDX-License-Identifier: Apache-2.0
// imprint-central: the central system, to which devices in operation connect.
#include "provisioning/central/commands.h"
#include "provisioning/central/server.h"
#include "provisioning/server/log.h"

#include <CLI/CLI.hpp>

#include <functional>
#include <map>
#include <optional>

namespace imprint::central {

namespace {

struct Options {
    std::filesystem::path state = "/var/lib/imprint-central";
    // serve
    ServerSettings server;
    std::filesystem::path directory = "/etc/imprint-central";
    std::string key;
    std::string passphrase;
    std::string storage_key;
    std::uint64_t key_lifetime = 30 * 86400;
    std::optional<std::uint64_t> rotate_after; // a quarter of the lifetime
    unsigned handshake_seconds = 10;
    unsigned message_seconds = 60;
    unsigned idle_seconds = 3600;
    // operators' commands
    std::filesystem::path station;
    std::string chip;
    bool json = false;
};

// What the chosen subcommand does.
using Action = std::function<int()>;

pki::Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

Credentials credentials(const Options& o)
{
    return load_credentials(o.directory, o.key, pki::read_passphrase(o.passphrase), now());
}

int serve(Options& o)
{
    const std::uint64_t rotate_after = o.rotate_after.value_or(o.key_lifetime / 4);
    if (rotate_after > o.key_lifetime)
        throw Error(Reason::invalid_argument, "--rotate-after is longer than --key-lifetime");
    o.server.state = o.state;
    if (o.server.backend.empty())
        o.server.alpn = {"http/1.1"};
    o.server.lifetimes = {std::chrono::seconds(rotate_after), std::chrono::seconds(o.key_lifetime)};
    o.server.handshake_timeout = std::chrono::seconds(o.handshake_seconds);
    o.server.message_timeout = std::chrono::seconds(o.message_seconds);
    o.server.idle_timeout = std::chrono::seconds(o.idle_seconds);
    const std::string storage_key = o.storage_key.empty() ? (o.state / "storage.key").string() : o.storage_key;
    server::Service service;
    Server server(service, o.server, credentials(o), load_storage_key(storage_key));
    service.on_reload([&] { server.reload(o.directory); });
    service.run();
    return exit_ok;
}

void add_credentials(CLI::App& command, Options& o)
{
    const auto add = [&command](const char* option, auto& value, const char* text) {
        command.add_option(option, value, text)->capture_default_str();
    };
    add("--directory", o.directory, "tls.pem, tls.key and trust.pem, as imprint-authority makes them");
    add("--key", o.key, "OSSL_STORE URI of the TLS key, if it is elsewhere");
    add("--passphrase", o.passphrase, "The key's passphrase: fd:N or credential:NAME");
}

void add_certify_station(CLI::App& app, Options& o, Action& action)
{
    auto* certify =
        app.add_subcommand("certify-station", "Certify a station's signing key, for devices that demand it");
    certify->add_option("FILE", o.station, "The station's signing certificate (PEM)")->required();
    add_credentials(*certify, o);
    certify->final_callback([&] { action = [&o] { return certify_station(credentials(o), o.station, now()); }; });
}

void add_server(CLI::App& app, Options& o, Action& action)
{
    auto* serve_command = app.add_subcommand("serve", "Take connections of devices");
    auto add = [serve_command](const char* option, auto& value, const char* text) {
        return serve_command->add_option(option, value, text)->capture_default_str();
    };
    const auto lifetime = [&add](const char* option, auto& value, const char* text) {
        const std::map<std::string, std::uint64_t> units{{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
        add(option, value, text)
            ->transform(CLI::AsNumberWithUnit(units, CLI::AsNumberWithUnit::CASE_SENSITIVE, "TIME"))
            ->check(CLI::Range(1U, 315'360'000U));
    };
    add("--listen", o.server.listen, "Addresses (host:port, unix:/path or systemd:NAME)")->required();
    add_credentials(*serve_command, o);
    add("--storage-key", o.storage_key, "File or credential:NAME (default: storage.key in the state directory)");
    add("--crl", o.server.crls, "Revocation lists of stations and of the manufacturer (PEM)");
    add("--backend", o.server.backend, "Where connections go (host:port or unix:/path), PROXY protocol v2 in front");
    add("--alpn", o.server.alpn, "Application protocols to agree to (without a backend: http/1.1)");
    add("--archive", o.server.archive, "The archive (http://host:port), asked whether a certificate is the newest");
    serve_command->add_flag("--archive-required", o.server.archive_required,
                            "Refuse a device when the archive cannot be asked");
    add("--central-set", o.server.central_set, "A station-signed update of this system's keys, handed to devices");
    lifetime("--key-lifetime", o.key_lifetime, "How long a transaction key is good (30d, 12h, 90s)");
    lifetime("--rotate-after", o.rotate_after, "After what time devices fetch a new one (default: a quarter of that)");
    add("--max-connections", o.server.max_connections, "For each address")->check(CLI::Range(4U, 65536U));
    add("--handshake-timeout", o.handshake_seconds, "Seconds")->check(CLI::Range(1U, 3600U));
    add("--message-timeout", o.message_seconds, "Seconds for each message or request")->check(CLI::Range(1U, 3600U));
    add("--idle-timeout", o.idle_seconds, "Seconds in which nothing moves")->check(CLI::Range(1U, 604800U));
    serve_command->final_callback([&] { action = [&o] { return serve(o); }; });
}

// Works on the database.
using Work = std::function<int(Store&)>;

CLI::App* add_command(CLI::App& parent, const char* name, const char* text, Options& o, Action& action, Work work)
{
    auto* command = parent.add_subcommand(name, text);
    command->final_callback([&o, &action, work = std::move(work)] {
        action = [&o, work] {
            if (!std::filesystem::exists(database_path(o.state)))
                throw Error(Reason::not_configured,
                            o.state.string() + " is no central system's state; imprint-central init makes it");
            Store store(database_path(o.state));
            return work(store);
        };
    });
    return command;
}

void add_keys(CLI::App& app, Options& o, Action& action)
{
    auto* keys = app.add_subcommand("keys", "Transaction keys of devices");
    keys->require_subcommand(1);
    add_command(*keys, "list", "Show those in force", o, action, [&o](Store& s) {
        return list_keys(s, o.json);
    })->add_flag("--json", o.json);
    add_command(*keys, "revoke", "End those of a chip", o, action, [&o](Store& s) { return revoke_keys(s, o.chip); })
        ->add_option("chip", o.chip, "Chip identifier")
        ->required();
}

int run(int argc, char** argv)
{
    CLI::App app("The central system. See imprint-central(8).", "imprint-central");
    app.set_version_flag("--version", IMPRINT_VERSION);
    app.set_config("--config", "", "Options from a file (TOML)");
    app.allow_config_extras(CLI::config_extras_mode::error);
    app.fallthrough();
    Options options;
    Action action;
    app.add_option("--state", options.state, "The state directory")->capture_default_str();
    app.add_subcommand("init", "Make the state directory, the database and a storage key")->final_callback([&] {
        action = [&options] { return init(options.state); };
    });
    add_server(app, options, action);
    add_keys(app, options, action);
    add_certify_station(app, options, action);
    try {
        app.parse(argc, argv);
        if (!action)
            throw CLI::RequiredError("A command");
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? exit_ok : exit_usage;
    }
    return action();
}

} // namespace

} // namespace imprint::central

int main(int argc, char** argv)
{
    return imprint::server::run_program("imprint-central", [&] { return imprint::central::run(argc, argv); });
}
