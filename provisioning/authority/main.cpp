// SPDX-License-Identifier: Apache-2.0
// imprint-authority: the manufacturer's offline tool.
#include "provisioning/authority/output.h"
#include "provisioning/server/output.h"

#include <CLI/CLI.hpp>

#include <functional>
#include <iostream>

namespace imprint::authority {

namespace {

enum Exit { done = 0, failed = 1, usage = 2 };

constexpr int ca_days = 40 * 365; // devices live long, and their identities hang on these
constexpr int server_days = 2 * 365;

struct Options {
    bool json = false;
    std::string directory = ".";
    std::string passphrase_source;
    std::string output_passphrase_source;
    std::string name; // of the manufacturer
    std::optional<int> days;
    Keys keys;
    Request request;
    Rollover rollover;
    bool without_former = false;
    std::vector<std::string> identities;
    std::vector<std::filesystem::path> files;
};

pki::Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

Authority authority(Options& options) { return {options.directory, std::move(options.keys)}; }

void initialize(Options& options)
{
    const Days lifetime(options.days.value_or(ca_days));
    print(initialize(options.directory, options.name, options.keys, lifetime, now()), options.json);
}

void certify_station(Options& options)
{
    for (const auto& range : options.identities)
        options.request.identities.push_back(pki::parse_range(range));
    options.request.delegate_identity_ca |= !options.request.identity_ca_public_key.empty();
    print(authority(options).station(options.request, now()), options.json);
}

void certify_archive(Options& options) { print(authority(options).archive(options.request, now()), options.json); }

void certify_central(Options& options) { print(authority(options).central(options.request, now()), options.json); }

void certify_operator(Options& options)
{
    print(authority(options).station_operator(options.request, now()), options.json);
}

void certify_mirror(Options& options) { print(authority(options).mirror(options.request, now()), options.json); }

void revoke(Options& options)
{
    const auto fresh = authority(options).revoke(options.files, now());
    print_revoked(fresh, options.json);
}

void roll_over(Options& options)
{
    auto& next = options.rollover;
    next.passphrase = std::move(options.request.passphrase);
    next.lifetime = Days(options.days.value_or(ca_days));
    print(authority(options).rollover(next, now()), options.json);
}

void write_trust_bundle(Options& options)
{
    std::cout << as_text(authority(options).trust_bundle(!options.without_former)) << std::flush;
}

void show(Options& options) { print(authority(options).issued(), options.json); }

using Command = void (*)(Options&);

void declare_peer(CLI::App& command, Options& options)
{
    auto& request = options.request;
    command.add_option("NAME", request.name, "Its name, in certificates and as a directory")->required();
    command.add_option("--output", request.output,
                       "The directory to make (default: stations, archives and so on, and NAME)");
    command.add_option("--tls-public-key", request.tls_public_key, "PEM public key or request; no TLS key is made");
    command.add_option("--output-passphrase", options.output_passphrase_source,
                       "Encrypt the keys that are written: fd:N or credential:NAME");
    command.add_option("--days", options.days, "How long the certificates are valid (default: 730)");
}

void declare_server(CLI::App& command, Options& options)
{
    declare_peer(command, options);
    command.add_option("--host", options.request.hosts, "Host name or IP address of its TLS server; may be repeated")
        ->required()
        ->allow_extra_args(false);
}

void declare(CLI::App& app, Options& options, Command& chosen)
{
    app.fallthrough();
    app.set_version_flag("--version", "imprint-authority " IMPRINT_VERSION);
    app.add_flag("--json", options.json, "Write one JSON document to stdout");
    app.add_option("--directory", options.directory, "Where the manufacturer's CAs are (default: here)");
    app.add_option("--passphrase", options.passphrase_source,
                   "Passphrase of the CAs' keys: fd:N (one line) or credential:NAME");
    app.add_option("--checking-key", options.keys.checking, "OSSL_STORE URI (default: checking-ca.key)");
    app.add_option("--identity-key", options.keys.identity, "OSSL_STORE URI (default: identity-ca.key)");
    const auto add = [&](const char* name, const char* help, Command command) {
        return app.add_subcommand(name, help)->callback([&chosen, command] { chosen = command; });
    };
    auto* init = add("init", "Make the checking CA (the root) and the identity CA", initialize);
    init->add_option("--name", options.name, "The manufacturer's name")->required();
    init->add_option("--days", options.days, "How long the CAs are valid (default: 14600)");
    auto* station = add("station", "Certify a station's signing and TLS keys", certify_station);
    declare_server(*station, options);
    station->add_option("--signing-public-key", options.request.signing_public_key,
                        "PEM public key or request; no signing key is made");
    station->add_flag("--delegate-identity-ca", options.request.delegate_identity_ca,
                      "Give it an identity CA of its own, with which it certifies device identities");
    station->add_option("--identity-ca-public-key", options.request.identity_ca_public_key,
                        "PEM public key or request; no key is made. Implies --delegate-identity-ca");
    station
        ->add_option("--identities", options.identities,
                     "Device identities that it may give: serial:SN000001..SN009999; may be repeated")
        ->allow_extra_args(false);
    declare_server(*add("archive", "Certify an archive's TLS key", certify_archive), options);
    declare_server(*add("central", "Certify a central system's TLS key", certify_central), options);
    declare_peer(*add("operator", "Certify the key of a station's operator", certify_operator), options);
    declare_peer(*add("mirror", "Certify the key of a mirror, which may list an archive's records", certify_mirror),
                 options);
    add("revoke", "Revoke certificates of the checking CA", revoke)
        ->add_option("FILE", options.files, "PEM certificates")
        ->required();
    auto* rollover = add("rollover", "Make the next authority: a new checking key, signed by this one", roll_over);
    rollover->add_option("--output", options.rollover.output, "Its directory; this one stays as it is")->required();
    rollover->add_option("--next-checking-key", options.rollover.checking,
                         "OSSL_STORE URI of the new key (default: one is made)");
    rollover->add_option("--output-passphrase", options.output_passphrase_source,
                         "Encrypt the keys that are written: fd:N or credential:NAME");
    rollover->add_option("--days", options.days, "How long the new CAs are valid (default: 14600)");
    add("trust-bundle", "Write trust.pem for devices, stations and archives to stdout", write_trust_bundle)
        ->add_flag("--without-former", options.without_former,
                   "After a rollover: trust the newest checking key alone, and link no former one to it");
    add("show", "List the certificates below the directory", show);
}

int fail(const Options& options, const Refusal& refusal)
{
    server::print_failure("imprint-authority", refusal, options.json);
    const bool mistake = refusal.reason == Reason::invalid_argument || refusal.reason == Reason::not_configured;
    return mistake ? usage : failed;
}

int run(Options& options, Command command)
{
    try {
        options.keys.passphrase = pki::read_passphrase(options.passphrase_source);
        options.request.passphrase = pki::read_passphrase(options.output_passphrase_source);
        options.request.lifetime = Days(options.days.value_or(server_days));
        command(options);
        return done;
    } catch (const Error& error) {
        return fail(options, error.refusal());
    } catch (const std::exception& error) {
        return fail(options, {Reason::internal, error.what()});
    }
}

} // namespace

} // namespace imprint::authority

int main(int argc, char** argv)
{
    using namespace imprint::authority;
    CLI::App app(
        "Makes the manufacturer's CAs and certifies stations, archives, mirrors, central systems and operators. See "
        "imprint-authority(1).",
        "imprint-authority");
    Options options;
    Command command = nullptr;
    declare(app, options, command);
    try {
        app.parse(argc, argv);
        if (command == nullptr)
            throw CLI::RequiredError("A command");
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? done : usage;
    }
    return run(options, command);
}
