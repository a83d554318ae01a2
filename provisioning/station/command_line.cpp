// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/command_line.h"

#include "provisioning/station/pool.h"

#include <CLI/CLI.hpp>

#include <map>

namespace imprint::station {

Credentials credentials(Options& options)
{
    options.credentials.passphrase = pki::read_passphrase(options.passphrase);
    return load_credentials(options.credentials,
                            std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()));
}

void add_credentials(CLI::App& command, Options& o)
{
    const auto add = [&command](const char* option, auto& value, const char* text) {
        command.add_option(option, value, text)->capture_default_str();
    };
    add("--directory", o.credentials.directory, "Certificates and keys, as imprint-authority makes them");
    add("--signing-key", o.credentials.signing_key, "OSSL_STORE URI of the signing key, if it is elsewhere");
    add("--identity-ca-key", o.credentials.identity_ca_key, "OSSL_STORE URI of the identity CA's key");
    add("--tls-key", o.credentials.tls_key, "OSSL_STORE URI of the TLS key");
    add("--passphrase", o.passphrase, "The keys' passphrase: fd:N or credential:NAME");
}

void Commands::add_json(CLI::App* command) { command->add_flag("--json", o_.json); }

CLI::App* Commands::add(CLI::App& parent, const char* name, const char* text, Work work)
{
    auto* command = parent.add_subcommand(name, text);
    command->final_callback([this, work = std::move(work)] {
        action_ = [&o = o_, work] {
            if (!std::filesystem::exists(database_path(o.state)))
                throw Error(Reason::not_configured,
                            o.state.string() + " is no station's state; imprint-station init makes it");
            Store store(database_path(o.state));
            return work(store);
        };
    });
    return command;
}

CLI::App* Commands::add_listing(CLI::App& parent, const char* name, const char* text, Work work)
{
    auto* listing = add(parent, name, text, std::move(work));
    add_json(listing);
    return listing;
}

CLI::App* Commands::add_import(CLI::App& parent, const char* text, Work work)
{
    auto* import = add(parent, "import", text, std::move(work));
    import->add_option("file", o_.file)->required();
    import->add_flag("--dry-run", o_.dry_run, "Only say what would happen");
    return import;
}

CLI::App* Commands::add_for_chip(CLI::App& parent, const char* name, const char* text, Work work)
{
    auto* command = add(parent, name, text, std::move(work));
    command->add_option("chip", o_.chip, "Chip identifier")->required();
    return command;
}

void Commands::add_endorsement_keys(CLI::App& app)
{
    auto* ek = app.add_subcommand("ek", "Endorsement keys that are trusted without a certificate");
    ek->require_subcommand(1);
    add_import(*ek, "Add a CSV file: digest[,note]",
               [&o = o_](Store& s) { return import_allow_list(s, o.file, o.dry_run); });
    add_listing(*ek, "list", "Show them", [&o = o_](Store& s) { return list_allow_list(s, o.json); });
}

void Commands::add_identities(CLI::App& app)
{
    auto* identity = app.add_subcommand("identity", "Device identities to give");
    identity->require_subcommand(1);
    auto* import = add_import(*identity, "Add a list: CSV (chip,serial or chip,kind,identity) or JSON lines",
                              [&o = o_](Store& s) { return import_identities(s, o.file, o.format, o.dry_run); });
    import->add_option("--format", o_.format, "csv or jsonl (default: by the file's ending)")
        ->check(CLI::IsMember({"csv", "jsonl"}));
    auto* range = add(*identity, "range", "Add a range, for chips that are not listed",
                      [&o = o_](Store& s) { return add_range(s, o.range); });
    range->add_option("--kind", o_.range.kind, "serial (default), imei, eui48 or eui64")
        ->check(CLI::IsMember({"serial", "imei", "eui48", "eui64"}));
    range->add_option("--prefix", o_.range.prefix, "Of serial numbers: what stands before the digits");
    range->add_option("--width", o_.range.width, "Of serial numbers: digits, filled with zeros")
        ->check(CLI::Range(1U, 18U));
    range->add_option("--from", o_.range.first, "The first number; of other kinds the first identity")->required();
    range->add_option("--to", o_.range.last, "The last one")->required();
    auto* closed = add(*identity, "close-ranges", "Give nothing more from the ranges that there are",
                       [&o = o_](Store& s) { return close_ranges(s, o.yes); });
    closed->add_flag("--yes", o_.yes, "Without asking");
    add_listing(*identity, "list", "Show what is left, and who is who",
                [&o = o_](Store& s) { return list_identities(s, o.json); });
    add_listing(*identity, "requests", "Show what devices asked for",
                [&o = o_](Store& s) { return list_requests(s, o.json); });
    add_for_chip(*identity, "confirm", "Let the device have what it asked for",
                 [&o = o_](Store& s) { return confirm_request(s, o.chip); });
    add_for_chip(*identity, "refuse", "Forget what the device asked for",
                 [&o = o_](Store& s) { return refuse_request(s, o.chip); });
}

void Commands::add_backup(CLI::App& app)
{
    add(app, "backup", "Copy the database to a new file, while the server runs",
        [&o = o_](Store& s) { return back_up(s, o.file); })
        ->add_option("file", o_.file)
        ->required();
}

void Commands::add_records(CLI::App& app)
{
    auto* record = app.add_subcommand("record", "Records that were made here");
    record->require_subcommand(1);
    auto* show = add(*record, "show", "Show one, and whether its proof is here",
                     [&o = o_](Store& s) { return show_record(s, o.record, o.json); });
    auto* proof =
        add(*record, "proof", "Verify once more that the TPM could open it and load its keys",
            [&o = o_](Store& s) { return prove_record(s, o.record, o.credentials.directory / "trust.pem", o.json); });
    proof->add_option("--directory", o_.credentials.directory, "Where trust.pem is")->capture_default_str();
    for (auto* command : {show, proof}) {
        command->add_option("chip", o_.record.chip, "Chip identifier")->required();
        command->add_option("sequence", o_.record.sequence, "Of the record (default: the newest)");
        add_json(command);
    }
}

void Commands::add_chips(CLI::App& app)
{
    auto* chip = app.add_subcommand("chip", "Chips that were here");
    add_listing(*chip, "list", "Show all", [&o = o_](Store& s) { return list_chips(s, o.json); });
    add_json(add_for_chip(*chip, "show", "Show one", [&o = o_](Store& s) { return show_chip(s, o.chip, o.json); }));
    add_for_chip(*chip, "readmit", "Let it come once without its identity certificate",
                 [&o = o_](Store& s) { return readmit_chip(s, o.chip); });
    auto* quarantine = add_for_chip(*chip, "quarantine", "Refuse it",
                                    [&o = o_](Store& s) { return quarantine_chip(s, o.chip, o.note); });
    quarantine->add_option("--note", o_.note, "Why; for the operators only");
    add_for_chip(*chip, "release", "End its quarantine", [&o = o_](Store& s) { return release_chip(s, o.chip); });
    auto* replace = add(*chip, "replace", "Let a device go on with another chip, for good",
                        [&o = o_](Store& s) { return replace_chip(s, credentials(o), o.state, o.replace); });
    replace->add_option("old", o_.replace.former, "The chip that was taken out")->required();
    replace->add_option("new", o_.replace.present, "The one that was put in; it was never personalized")->required();
    replace->add_option("--reason", o_.replace.reason, "Why; for everybody to read")->required();
    add_credentials(*replace, o_);
}

void Commands::add_central(CLI::App& app)
{
    auto* central = app.add_subcommand("central", "Keys by which devices are to know the central system");
    central->require_subcommand(1);
    auto* enter = add(*central, "add", "Add one, or give one a new cross-certificate",
                      [&o = o_](Store& s) { return station::add_central(s, o.central); });
    auto* key = enter->add_option_group("key");
    key->add_option("--public-key", o_.central.public_key, "PEM public key or request");
    key->add_option("--certificate", o_.central.certificate, "PEM certificate of the central system");
    key->require_option(1);
    enter->add_option("--cross-certificate", o_.central.cross_certificate,
                      "This station's signing key, certified by that key: imprint-central certify-station");
    enter->add_option("--name", o_.central.name, "Its name (default: the certificate's)");
    add_listing(*central, "list", "Show them", [&o = o_](Store& s) { return list_central(s, o.json); });
    add(*central, "remove", "Remove one", [&o = o_](Store& s) { return remove_central(s, o.digest); })
        ->add_option("sha256", o_.digest, "SHA-256 of the public key, as list shows it")
        ->required();
    auto* out = add(*central, "export", "Sign the list under a new number, as an update for devices",
                    [&o = o_](Store& s) { return export_central(s, credentials(o), o.output); });
    out->add_option("--output", o_.output, "File, or - for stdout")->capture_default_str();
    add_credentials(*out, o_);
}

void Commands::add_operators(CLI::App& app)
{
    auto* operators = app.add_subcommand("operator", "Whose programs may get introductions for devices");
    operators->require_subcommand(1);
    auto* added = add(*operators, "add", "Register a certificate, or change what its operator may do",
                      [&o = o_](Store& s) { return add_operator(s, o.file, o.permissions); });
    added->add_option("certificate", o_.file, "PEM, as imprint-authority made it")->required();
    added->add_option("--may", o_.permissions, "introduce (chips, by tickets), issue-tan; may be repeated")
        ->required()
        ->allow_extra_args(false)
        ->check(CLI::IsMember({"introduce", "issue-tan"}));
    auto* revoked = add(*operators, "revoke", "Refuse an operator from now on, for good",
                        [&o = o_](Store& s) { return revoke_operator(s, o.name); });
    revoked->add_option("name", o_.name, "The name in the certificate, or its fingerprint")->required();
    add_listing(*operators, "list", "Show them", [&o = o_](Store& s) { return list_operators(s, o.json); });
}

// "KIND:VALUE", or a serial number alone.
pki::DeviceIdentity identity_of(const std::string& text)
{
    const bool has_kind = std::ranges::any_of(
        std::array{pki::imei_kind, pki::eui48_kind, pki::eui64_kind, pki::serial_kind, pki::uuid_kind},
        [&](std::string_view kind) { return text.starts_with(std::string(kind) + ':'); });
    return pki::parse_identity(has_kind ? text : "serial:" + text).or_throw();
}

int issue(Store& store, Options& o)
{
    o.terms.valid = std::chrono::seconds(o.valid_seconds);
    if (!o.identity.empty())
        o.terms.identity = identity_of(o.identity);
    o.tan_output.json = o.json;
    return issue_tans(store, o.terms, o.count, o.tan_output);
}

void Commands::add_tans(CLI::App& app)
{
    const std::map<std::string, std::uint64_t> units{{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    auto* tan = app.add_subcommand("tan", "One-off transaction numbers, with which devices may come");
    tan->require_subcommand(1);
    auto* issue_command =
        add(*tan, "issue", "Make new ones and show them, this one time", [&o = o_](Store& s) { return issue(s, o); });
    auto* count = issue_command->add_option("--count", o_.count, "How many (1)")->check(CLI::Range(1U, 10000U));
    issue_command->add_option("--valid", o_.valid_seconds, "How long: 90m, 12h, 7d (1d)")
        ->transform(CLI::AsNumberWithUnit(units));
    issue_command->add_option("--chip", o_.terms.chip, "Good for the chip with this identifier only");
    issue_command
        ->add_option("--identity", o_.identity,
                     "Good for the device with this identity only: a serial number, or KIND:VALUE")
        ->excludes(count);
    issue_command->add_option("--reason", o_.terms.reason, "What for; stands in the list and the audit log");
    auto* json = issue_command->add_flag("--json", o_.json);
    issue_command->add_flag("--qr", o_.tan_output.qr, "Show QR codes as well")->excludes(json);
    issue_command->add_option("--svg", o_.tan_output.svg, "Write the QR code to this file")->excludes(count);
    add_listing(*tan, "list", "Show all that were given out, tickets too, without their secrets",
                [&o = o_](Store& s) { return list_tans(s, o.json); });
    add(*tan, "revoke", "Make one useless", [&o = o_](Store& s) { return revoke_tan(s, o.selector); })
        ->add_option("selector", o_.selector, "Its first 7 letters and digits")
        ->required();
}

int fill_pool(Store& store, Options& o)
{
    o.pool.state = o.state;
    return fill_pool(store, o.pool);
}

void Commands::add_pool(CLI::App& app)
{
    auto* pool = app.add_subcommand("pool", "Pairs that are made in advance");
    pool->require_subcommand(1);
    auto* filled =
        add(*pool, "fill", "Make pairs until so many are free", [&o = o_](Store& s) { return fill_pool(s, o); });
    filled->add_option("kind", o_.pool.kind, "p256, p384, rsa2048 or rsa3072")->required();
    filled->add_option("count", o_.pool.count, "How many are to be free")
        ->required()
        ->check(CLI::Range(std::size_t{1}, std::size_t{10'000'000}));
    filled->add_option("--jobs", o_.pool.jobs, "Threads (default: one for each processor)")
        ->check(CLI::Range(1U, 1024U));
    filled->add_option("--pool-key", o_.pool.key, "File or credential:NAME (default: pool.key in the state)");
    auto* status = add(*pool, "status", "Show how many are free, and how many the archive has not confirmed yet",
                       [&o = o_](Store& s) { return show_pool(s, o.server.pool_low_water, o.json); });
    status->add_option("--pool-low-water", o_.server.pool_low_water, "Mark kinds with fewer free pairs");
    add_json(status);
    auto* drained = add(*pool, "drain", "Remove the free ones, for good",
                        [&o = o_](Store& s) { return drain_pool(s, o.pool, o.yes); });
    auto* which = drained->add_option_group("which");
    which->add_option("kind", o_.pool.kind, "Of this kind");
    which->add_flag_callback(
        "--all", [&o = o_] { o.pool.kind.clear(); }, "Of all kinds");
    which->require_option(1);
    drained->add_flag("--yes", o_.yes, "Without asking");
}

void Commands::add_logs(CLI::App& app)
{
    auto* audit = add_listing(app, "audit", "Show every grant and every refusal", [&o = o_](Store& s) {
        return o.move_to.empty() ? show_audit(s, o.json) : move_audit(s, o.move_to, std::chrono::days(o.older_than));
    });
    auto* move_to = audit->add_option("--move-to", o_.move_to, "Move old entries into this new file (JSON)");
    audit->add_option("--older-than", o_.older_than, "Days that an entry stays at least")
        ->check(CLI::Range(1, 36500))
        ->needs(move_to)
        ->capture_default_str();
    auto* outbox = add(app, "outbox", "Show what the archive does not have yet",
                       [&o = o_](Store& s) { return show_outbox(s, std::chrono::seconds(o.wait_seconds), o.json); });
    outbox->add_option("--wait", o_.wait_seconds, "Seconds to wait until there is nothing")
        ->check(CLI::Range(0U, 86400U));
    add_json(outbox);
    app.add_subcommand("crl", "Print the list of revoked module certificates (PEM)")->final_callback([this] {
        action_ = [&o = o_] { return show_crl(o.state); };
    });
}

int sync(Options& o, Store& store)
{
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    o.credentials.passphrase = pki::read_passphrase(o.passphrase);
    if (o.main_station.empty())
        return sync_to_archive(store, load_tls_credentials(o.credentials, now), o.server.archive, o.dry_run, o.json);
    return sync_to_station(store, load_unit_credentials(o.credentials, now), o.state, o.main_station, o.dry_run,
                           o.json);
}

void Commands::add_sync(CLI::App& app)
{
    auto* command = add(app, "sync", "Bring what was done in the field to the main station, or records to the archive",
                        [&o = o_](Store& s) { return sync(o, s); });
    auto* where = command->add_option_group("where");
    where->add_option("--to", o_.main_station, "The main station's address for operations (host:port)");
    where->add_option("--archive", o_.server.archive, "The archive (https://host:port)");
    where->require_option(1);
    command->add_option("--directory", o_.credentials.directory, "Certificates and keys")->capture_default_str();
    command->add_option("--tls-key", o_.credentials.tls_key, "OSSL_STORE URI of the TLS key, if it is elsewhere");
    command->add_option("--signing-key", o_.credentials.signing_key,
                        "OSSL_STORE URI of the signing key, which signs the list of revoked certificates (--to)");
    command->add_option("--passphrase", o_.passphrase, "The keys' passphrase: fd:N or credential:NAME");
    command->add_flag("--dry-run", o_.dry_run, "Only say what is missing there");
    add_json(command);
    add_listing(app, "conflicts", "Show what other stations brought and could not be taken",
                [&o = o_](Store& s) { return show_conflicts(s, o.json); });
}

} // namespace imprint::station
