// SPDX-License-Identifier: Apache-2.0
// imprint-station: the personalization unit.
#include "provisioning/server/log.h"
#include "provisioning/station/channel_key.h"
#include "provisioning/station/command_line.h"
#include "provisioning/station/pool.h"
#include "provisioning/station/server.h"

#include <CLI/CLI.hpp>

#include <functional>
#include <iostream>
#include <map>
#include <unistd.h>

namespace imprint::station {

namespace {

const std::map<std::string, Required> required_names{
    {"never", Required::never}, {"first", Required::first}, {"always", Required::always}};

// Where a key was named, or is where fill puts it. A wrong one is noticed here, not at the first device.
std::shared_ptr<const PairSource> pool(const Options& options)
{
    const std::string usual = pool_key_path(options.state);
    if (options.pool.key.empty() && !std::filesystem::exists(usual))
        return nullptr;
    auto pool = std::make_shared<const Pool>(load_pool_key(options.pool.key.empty() ? usual : options.pool.key));
    Store store(database_path(options.state));
    pool->check(store);
    return pool;
}

pki::Trust vendors(const Options& options)
{
    return options.vendor_ca.empty() ? pki::Trust{} : load_vendors(options.vendor_ca);
}

int serve(Options& options)
{
    const std::string master_key =
        options.master_key.empty() ? (options.state / "master.key").string() : options.master_key;
    Station station{.credentials = credentials(options),
                    .vendors = vendors(options),
                    .master_key = load_master_key(master_key, options.credentials.passphrase),
                    .profile = options.profile.empty() ? PackageProfile{} : read_profile(options.profile),
                    .module_lifetime = std::chrono::days(options.module_days),
                    .pool = pool(options)};
    options.server.state = options.state;
    options.server.handshake_timeout = std::chrono::seconds(options.handshake_seconds);
    options.server.message_timeout = std::chrono::seconds(options.message_seconds);
    server::Service service;
    Server server(service, options.server, std::move(station));
    if (!options.server.stdio) // there SIGHUP is the end of the line
        service.on_reload([&] { server.use(load_trust(options.credentials), vendors(options)); });
    service.run();
    return options.server.stdio && !server.has_recorded() ? exit_failed : exit_ok;
}

// Standard input and output carry TLS there: nobody can type or read that.
void require_a_way_in(const ServerSettings& settings)
{
    if (settings.stdio && (isatty(STDIN_FILENO) != 0 || isatty(STDOUT_FILENO) != 0))
        throw CLI::ValidationError("--stdio", "standard input and output are a terminal");
    if (!settings.stdio && settings.listen.empty() && settings.listen_exempt.empty())
        throw CLI::RequiredError("--listen or --stdio");
}

void add_server(CLI::App& app, Options& o, Action& action)
{
    auto* serve_command = app.add_subcommand("serve", "Personalize devices");
    auto add = [serve_command](const char* option, auto& value, const char* text) {
        return serve_command->add_option(option, value, text)->capture_default_str();
    };
    add("--listen", o.server.listen, "Addresses (host:port, unix:/path, systemd:NAME or serial:/dev/NAME[,BAUD])");
    serve_command->add_flag("--stdio", o.server.stdio,
                            "Listen nowhere: one conversation on standard input and output, then end");
    add("--listen-exempt", o.server.listen_exempt, "Addresses where nobody needs an introduction");
    add("--require-introduction", o.server.introductions, "never, of chips without a record here (first), or always")
        ->transform(CLI::CheckedTransformer(required_names));
    add("--listen-operations", o.server.listen_operations, "Addresses for operators' programs and other stations");
    add("--public-address", o.server.public_address,
        "Where couriers send devices (default: where they are configured to)");
    add_credentials(*serve_command, o);
    add("--master-key", o.master_key, "File, credential:NAME or OSSL_STORE URI (default: master.key in the state)");
    add("--vendor-ca", o.vendor_ca, "The TPM vendors' CAs and CRLs: a PEM file or a directory of them");
    add("--archive", o.server.archive, "The archive (https://host:port); without it records wait");
    add("--profile", o.profile, "What devices are given: a TOML file (default: one key for a channel)");
    add("--pool-key", o.pool.key, "File or credential:NAME (default: pool.key in the state)");
    add("--pool-low-water", o.server.pool_low_water, "Warn when fewer pairs of a kind are free");
    add("--module-lifetime", o.module_days, "Days that certificates of a device's keys are valid")
        ->check(CLI::Range(1U, 36500U));
    add("--max-connections", o.server.max_connections, "For each address")->check(CLI::Range(1U, 65536U));
    add("--handshake-timeout", o.handshake_seconds, "Seconds")->check(CLI::Range(1U, 3600U));
    add("--message-timeout", o.message_seconds, "Seconds for each message")->check(CLI::Range(1U, 3600U));
    serve_command->final_callback([&] {
        require_a_way_in(o.server);
        action = [&o] { return serve(o); };
    });
}

void add_profile(CLI::App& app, Options& o, Action& action)
{
    auto* profile = app.add_subcommand("profile", "What data packages hold");
    profile->require_subcommand(1);
    auto* check = profile->add_subcommand("check", "Show what a device will get, or what is wrong with the file");
    check->add_option("file", o.profile, "The profile (TOML)")->required();
    check->add_flag("--json", o.json);
    check->final_callback([&] { action = [&o] { return check_profile(o.profile, o.json); }; });
}

int run(int argc, char** argv)
{
    CLI::App app("The personalization station. See imprint-station(8).", "imprint-station");
    app.set_version_flag("--version", IMPRINT_VERSION);
    app.set_config("--config", "", "Options from a file (TOML)");
    app.allow_config_extras(CLI::config_extras_mode::error);
    app.fallthrough();
    Options options;
    Action action;
    app.add_option("--state", options.state, "The state directory")->capture_default_str();
    app.add_subcommand("init", "Make the state directory, the database and a master key")->final_callback([&] {
        action = [&options] { return init(options.state); };
    });
    add_server(app, options, action);
    add_profile(app, options, action);
    Commands commands(options, action);
    commands.add_endorsement_keys(app);
    commands.add_identities(app);
    commands.add_chips(app);
    commands.add_records(app);
    commands.add_central(app);
    commands.add_operators(app);
    commands.add_tans(app);
    commands.add_pool(app);
    commands.add_logs(app);
    commands.add_sync(app);
    commands.add_backup(app);
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

} // namespace imprint::station

int main(int argc, char** argv)
{
    return imprint::server::run_program("imprint-station", [&] { return imprint::station::run(argc, argv); });
}
