// SPDX-License-Identifier: Apache-2.0
// imprint-station: the personalization unit.
#include "provisioning/station/channel_key.h"
#include "provisioning/station/commands.h"
#include "provisioning/station/server.h"

#include <CLI/CLI.hpp>

#include <functional>
#include <iostream>

namespace {

using namespace imprint;
using namespace imprint::station;

struct Options {
    std::filesystem::path state = "/var/lib/imprint-station";
    // serve
    ServerSettings server;
    CredentialSources credentials{.directory = "/etc/imprint-station"};
    std::string passphrase;
    std::string master_key;
    std::filesystem::path vendor_ca;
    Profile profile;
    unsigned module_days = 3650;
    unsigned handshake_seconds = 10;
    unsigned message_seconds = 60;
    // operators' commands
    std::filesystem::path file;
    std::string chip;
    std::string note;
    SerialRange range;
    unsigned wait_seconds = 0;
    bool dry_run = false;
    bool json = false;
};

// What the chosen subcommand does.
using Action = std::function<int()>;

int serve(Options& options)
{
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    options.credentials.passphrase = pki::read_passphrase(options.passphrase);
    const std::string master_key =
        options.master_key.empty() ? (options.state / "master.key").string() : options.master_key;
    options.profile.module_lifetime = std::chrono::days(options.module_days);
    Station station{.credentials = load_credentials(options.credentials, now),
                    .vendor_cas = options.vendor_ca.empty() ? pki::Certificates{} : load_vendor_cas(options.vendor_ca),
                    .master_key = load_master_key(master_key),
                    .profile = options.profile};
    options.server.state = options.state;
    options.server.handshake_timeout = std::chrono::seconds(options.handshake_seconds);
    options.server.message_timeout = std::chrono::seconds(options.message_seconds);
    server::Service service;
    const Server server(service, options.server, std::move(station));
    service.run();
    return exit_ok;
}

void add_server(CLI::App& app, Options& o, Action& action)
{
    auto* serve_command = app.add_subcommand("serve", "Personalize devices")->configurable();
    auto add = [serve_command](const char* option, auto& value, const char* text) {
        return serve_command->add_option(option, value, text)->capture_default_str();
    };
    add("--listen", o.server.listen, "Addresses (host:port or unix:/path)")->required();
    add("--directory", o.credentials.directory, "Certificates and keys, as imprint-authority makes them");
    add("--signing-key", o.credentials.signing_key, "OSSL_STORE URI of the signing key, if it is elsewhere");
    add("--identity-ca-key", o.credentials.identity_ca_key, "OSSL_STORE URI of the identity CA's key");
    add("--tls-key", o.credentials.tls_key, "OSSL_STORE URI of the TLS key");
    add("--passphrase", o.passphrase, "The keys' passphrase: fd:N or credential:NAME");
    add("--master-key", o.master_key, "File or credential:NAME (default: master.key in the state directory)");
    add("--vendor-ca", o.vendor_ca, "The TPM vendors' CAs: a PEM file or a directory of them");
    add("--archive", o.server.archive, "The archive (https://host:port); without it records wait");
    add("--label", o.profile.label, "Label of the channel key in the data package");
    add("--key-version", o.profile.key_version, "Version of the channel keys");
    add("--module-lifetime", o.module_days, "Days that a module certificate is valid")->check(CLI::Range(1U, 36500U));
    add("--max-connections", o.server.max_connections, "For each address")->check(CLI::Range(1U, 65536U));
    add("--handshake-timeout", o.handshake_seconds, "Seconds")->check(CLI::Range(1U, 3600U));
    add("--message-timeout", o.message_seconds, "Seconds for each message")->check(CLI::Range(1U, 3600U));
    serve_command->final_callback([&] { action = [&o] { return serve(o); }; });
}

// A leaf of the command line that works on the database.
CLI::App* add_command(CLI::App& app, const char* name, const char* text, Options& o, Action& action,
                      std::function<int(Store&)> run)
{
    auto* command = app.add_subcommand(name, text);
    command->final_callback([&o, &action, run = std::move(run)] {
        action = [&o, run] {
            if (!std::filesystem::exists(database_path(o.state)))
                throw Error(Reason::not_configured, o.state.string() + " is no station's state; imprint-station init");
            Store store(database_path(o.state));
            return run(store);
        };
    });
    return command;
}

void add_lists(CLI::App& app, Options& o, Action& action)
{
    auto* ek =
        app.add_subcommand("ek", "Endorsement keys that are trusted without a certificate")->require_subcommand(1);
    auto* import = add_command(*ek, "import", "Add a CSV file: digest[,note]", o, action,
                               [&o](Store& s) { return import_allow_list(s, o.file, o.dry_run); });
    import->add_option("file", o.file)->required();
    import->add_flag("--dry-run", o.dry_run, "Only say what would happen");
    add_command(*ek, "list", "Show them", o, action, [&o](Store& s) {
        return list_allow_list(s, o.json);
    })->add_flag("--json", o.json);

    auto* identity = app.add_subcommand("identity", "Device identities to give")->require_subcommand(1);
    import = add_command(*identity, "import", "Add a CSV file: chip,serial", o, action,
                         [&o](Store& s) { return import_identities(s, o.file, o.dry_run);
});
import->add_option("file", o.file)->required();
import->add_flag("--dry-run", o.dry_run, "Only say what would happen");
auto* range = add_command(*identity, "range", "Add serial numbers for chips that are not listed", o, action,
                          [&o](Store& s) { return add_range(s, o.range); });
range->add_option("--prefix", o.range.prefix, "What stands before the digits");
range->add_option("--width", o.range.width, "Digits, filled with zeros")->check(CLI::Range(1U, 18U))->required();
range->add_option("--from", o.range.first, "The first number")->required();
range->add_option("--to", o.range.last, "The last number")->required();
}

void add_chips(CLI::App& app, Options& o, Action& action)
{
    auto* chip = app.add_subcommand("chip", "Chips that were here")->require_subcommand(1);
    add_command(*chip, "list", "Show all", o, action, [&o](Store& s) {
        return list_chips(s, o.json);
    })->add_flag("--json", o.json);
    auto add_one = [&](const char* name, const char* text, std::function<int(Store&)> run) {
        auto* command = add_command(*chip, name, text, o, action, std::move(run));
        command->add_option("chip", o.chip, "Chip identifier")->required();
        return command;
    };
    add_one("show", "Show one", [&o](Store& s) { return show_chip(s, o.chip, o.json); })->add_flag("--json", o.json);
    add_one("readmit", "Let it come once without its identity certificate",
            [&o](Store& s) { return readmit_chip(s, o.chip); });
    add_one("quarantine", "Refuse it", [&o](Store& s) {
        return quarantine_chip(s, o.chip, o.note);
    })->add_option("--note", o.note, "Why; the device is told");
    add_one("release", "End its quarantine", [&o](Store& s) { return release_chip(s, o.chip); });
}

void add_logs(CLI::App& app, Options& o, Action& action)
{
    add_command(app, "audit", "Show every grant and every refusal", o, action, [&o](Store& s) {
        return show_audit(s, o.json);
    })->add_flag("--json", o.json);
    auto* outbox = add_command(app, "outbox", "Show what the archive does not have yet", o, action,
                               [&o](Store& s) { return show_outbox(s, std::chrono::seconds(o.wait_seconds), o.json); });
    outbox->add_option("--wait", o.wait_seconds, "Seconds to wait until there is nothing")
        ->check(CLI::Range(0U, 86400U));
    outbox->add_flag("--json", o.json);
    app.add_subcommand("crl", "Print the list of revoked module certificates (PEM)")->final_callback([&] {
        action = [&o] { return show_crl(o.state); };
    });
}

int run(int argc, char** argv)
{
    CLI::App app("The personalization station", "imprint-station");
    app.set_version_flag("--version", IMPRINT_VERSION);
    app.set_config("--config", "", "Options from a file (TOML)");
    app.require_subcommand(1);
    app.fallthrough();
    Options options;
    Action action;
    app.add_option("--state", options.state, "The state directory")->capture_default_str();
    app.add_subcommand("init", "Make the state directory, the database and a master key")->final_callback([&] {
        action = [&options] { return init(options.state); };
    });
    add_server(app, options, action);
    add_lists(app, options, action);
    add_chips(app, options, action);
    add_logs(app, options, action);
    CLI11_PARSE(app, argc, argv);
    return action();
}

} // namespace

int main(int argc, char** argv)
try {
    return run(argc, argv);
} catch (const Error& error) {
    std::cerr << "imprint-station: " << error.what() << " (" << name(error.reason()) << ")\n";
    return exit_failed;
} catch (const std::exception& error) {
    std::cerr << "imprint-station: " << error.what() << '\n';
    return exit_failed;
}
