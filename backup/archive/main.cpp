// SPDX-License-Identifier: Apache-2.0
// imprint-archive: the permanent public database of records.
#include "backup/archive/commands.h"
#include "daemon/base/error.h"
#include "provisioning/server/log.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <iostream>
#include <thread>

namespace imprint::archive {

namespace {

struct Common {
    std::string database = "/var/lib/imprint-archive/archive.db";
    std::filesystem::path trust = "/etc/imprint-archive/trust.pem";
    std::string chip;
    bool json = false;
};

CLI::App* add_serve(CLI::App& app, ServeOptions& options)
{
    auto* serve = app.add_subcommand("serve", "Serve records and take them from stations");
    serve->add_option("--crl", options.crls, "Revocation lists (PEM)");
    serve->add_option("--certificate", options.certificate, "Own certificate and its issuers (PEM)")->required();
    serve->add_option("--key", options.key, "Private key: a file or another OSSL_STORE URI")->required();
    serve->add_option("--passphrase", options.passphrase, "The key's passphrase: fd:N or credential:NAME");
    serve->add_option("--listen", options.listen, "Public addresses, HTTP (host:port, unix:/path or systemd:NAME)")
        ->required();
    serve->add_option("--listen-tls", options.listen_tls, "Addresses for stations, mutual TLS")->required();
    serve->add_option("--max-connections", options.max_connections, "For each address")
        ->check(CLI::Range(1U, 65536U))
        ->capture_default_str();
    serve->add_option("--max-connections-per-client", options.max_per_client, "Of an IPv4 address or an IPv6 /64")
        ->check(CLI::Range(1U, 65536U))
        ->capture_default_str();
    serve->add_option("--rate", options.rate, "Requests of the public a second, 0: any number")
        ->check(CLI::Range(0U, 1'000'000U))
        ->capture_default_str();
    serve->add_option("--rate-per-client", options.rate_per_client, "Of an IPv4 address or an IPv6 /64, 0: any number")
        ->check(CLI::Range(0U, 1'000'000U))
        ->capture_default_str();
    serve->add_option("--deadline", options.deadline, "Seconds for a request, an answer, a pause between requests")
        ->check(CLI::Range(1U, 3600U))
        ->capture_default_str();
    return serve;
}

void add_check(CLI::App& command, CheckOptions& options)
{
    options.jobs = std::max(1U, std::thread::hardware_concurrency());
    command.add_option("--jobs", options.jobs, "Threads that check signatures")->check(CLI::Range(1U, 1024U));
    command.add_flag("--json", options.json, "Machine-readable");
}

int run(int argc, char** argv)
{
    CLI::App app("The permanent public archive of device backups. See imprint-archive(8).", "imprint-archive");
    app.set_version_flag("--version", IMPRINT_VERSION);
    app.set_config("--config", "", "Options from a file");
    app.allow_config_extras(CLI::config_extras_mode::error);
    Common common;
    app.add_option("--database", common.database, "The database: a path, or a URL of PostgreSQL")
        ->capture_default_str();
    app.add_option("--trust", common.trust, "Trust bundle of the manufacturer (PEM)")->capture_default_str();
    ServeOptions options;
    auto* serve = add_serve(app, options);
    auto* verify = app.add_subcommand("verify", "Check every record of the database or of a mirror");
    CheckOptions check;
    add_check(*verify, check);
    verify->add_option("directory", check.target, "A mirror's directory, in place of the database");
    auto* mirror = app.add_subcommand("mirror", "Copy what a mirror does not have yet");
    add_check(*mirror, check);
    mirror->add_option("target", check.target, "A directory, or a database as sqlite:PATH")->required();
    auto* from = mirror->add_option("--from", check.from, "An archive, as https://host:port, in place of the database");
    auto* certificate =
        mirror->add_option("--certificate", check.certificate, "A mirror's certificate and its issuers (PEM), for it");
    auto* key = mirror->add_option("--key", check.key, "Its private key: a file or another OSSL_STORE URI");
    mirror->add_option("--passphrase", check.passphrase, "The key's passphrase: fd:N or credential:NAME");
    from->needs(certificate, key);
    mirror->add_flag("--dry-run", check.dry_run, "Only tell what is missing");
    auto* show = app.add_subcommand("show", "What is stored for a chip");
    show->add_option("chip", common.chip, "Chip identifier")->required();
    show->add_flag("--json", common.json, "Machine-readable");
    try {
        app.parse(argc, argv);
        if (app.get_subcommands().empty())
            throw CLI::RequiredError("A command");
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : exit_usage;
    }

    options.database = check.database = common.database;
    options.trust = check.trust = common.trust;
    if (serve->parsed())
        return archive::serve(options);
    if (verify->parsed())
        return archive::verify(check);
    if (mirror->parsed())
        return archive::mirror(check);
    return archive::show(common.database, common.chip, common.json);
}

} // namespace

} // namespace imprint::archive

int main(int argc, char** argv)
{
    return imprint::server::run_program("imprint-archive", [&] { return imprint::archive::run(argc, argv); });
}
