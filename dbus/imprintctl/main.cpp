// SPDX-License-Identifier: Apache-2.0
// imprintctl: the command line over org.imprint.Device1.
#include "dbus/imprintctl/commands.h"

#include <CLI/CLI.hpp>

#include <csignal>

namespace imprint::ctl {

namespace {

using Command = void (Commands::*)();

// Declares the commands; the chosen one ends up in `chosen`.
void declare(CLI::App& app, Options& options, Command& chosen)
{
    app.fallthrough();
    app.set_version_flag("--version", "imprintctl " IMPRINT_VERSION);
    app.add_flag("--json", options.style.json, "Write one JSON document to stdout");
    app.add_flag("-q,--quiet", options.style.quiet, "Say nothing but errors");
    const auto add = [&](const char* name, const char* help, Command command) {
        return app.add_subcommand(name, help)->callback([&chosen, command] { chosen = command; });
    };
    add("status", "Show the device's state", &Commands::status);
    auto* personalize =
        add("personalize", "Personalize the device and switch it to the operating state", &Commands::personalize);
    auto* address =
        personalize->add_option("ADDRESS", options.address,
                                "Station: host:port, unix:/path or serial:/dev/NAME[,BAUD] (default: as configured)");
    personalize
        ->add_option("--proxy-command", options.proxy_command,
                     "Talk to the station through this command's standard input and output")
        ->excludes(address);
    auto* ticket = personalize->add_option("--ticket-file", options.ticket_file, "A courier's ticket (- for stdin)");
    personalize
        ->add_option("--transaction-number-file", options.number_file,
                     "The transaction number, for where nobody can be asked (- for stdin)")
        ->excludes(ticket);
    personalize->add_option("--identity", options.identity,
                            "Who the device is to be, as KIND:VALUE (imei:490154203237518): an operator confirms it");
    personalize->add_flag("--no-switch", options.no_switch, "Stop before the switch");
    add("enter-operating", "Switch a personalized device to the operating state", &Commands::enter_operating);
    add("enter-personalization", "Switch back: the module key dies", &Commands::enter_personalization);
    add("export-backup", "Write the newest record to a file or stdout", &Commands::export_backup)
        ->add_option("FILE", options.file, "File, or - for stdout (default)");
    auto* certificate = add("export-certificate", "Write the module certificate in PEM to a file or stdout",
                            &Commands::export_certificate);
    certificate->add_option("FILE", options.file, "File, or - for stdout (default)");
    auto* chain = certificate->add_flag("--chain", options.chain, "With its issuers");
    certificate->add_flag("--public-key", options.public_key, "The public key alone")->excludes(chain);
    auto* connect = add("connect", "Join a channel to the central system to stdin and stdout", &Commands::connect);
    connect->add_option("--central", options.central.address,
                        "Central system: host:port or unix:/path (default: as configured)");
    connect->add_option("--alpn", options.central.alpn, "Application protocol, http/1.1 for example");
    connect->add_option("--listen", options.listen, "Serve this Unix socket, a channel for each connection");
    const auto add_sequence = [&options](CLI::App* command) {
        command->add_option("--sequence", options.sequence, "Take the record with this sequence, not the newest");
    };
    auto* recover = add("recover", "Get keys and state back from a record", &Commands::recover);
    recover->add_option("SOURCE", options.sources,
                        "http://host[:port][/path] of an archive or a mirror, a file, the directory of a mirror, or - "
                        "for stdin; the first that works (default: the archive as configured)");
    recover->add_flag("--check", options.check, "Only prove that it would work; change nothing");
    add_sequence(recover);
    auto* restore = add("restore", "Get keys and state back from a record in a file", &Commands::restore);
    restore->add_option("FILE", options.file, "File, or - for stdin")->required();
    add_sequence(restore);
    add("update-central", "Install a newer list of the central system's keys", &Commands::update_central)
        ->add_option("FILE", options.file, "File, or - for stdin")
        ->required();
    add("adopt-root", "Make the TPM remember the manufacturer's new checking key", &Commands::adopt_root);
    add("link", "Let a courier introduce this device, over standard input and output", &Commands::link);
    add("cancel", "End the running call", &Commands::cancel);
    declare_keys(app, options.key, [&chosen] { chosen = &Commands::key; });
}

int report(const Options& options, const Failure& failure)
{
    Output(options.style).failure(failure);
    return static_cast<int>(failure.exit);
}

int run(const Options& options, Command command)
{
    std::optional<Commands> commands;
    try {
        (commands.emplace(options).*command)();
        return static_cast<int>(Exit::done);
    } catch (const Failure& failure) {
        if (commands)
            commands->end_progress();
        return report(options, failure);
    } catch (const Error& error) {
        return report(options, failure_of(error.refusal()));
    } catch (const std::exception& error) {
        return report(options, failure_of(Refusal{Reason::internal, error.what()}));
    }
}

} // namespace

} // namespace imprint::ctl

int main(int argc, char** argv)
{
    using namespace imprint::ctl;
    // Taken by the event loop; until then they wait.
    sigset_t handled;
    sigemptyset(&handled);
    sigaddset(&handled, SIGINT);
    sigaddset(&handled, SIGTERM);
    sigprocmask(SIG_BLOCK, &handled, nullptr);

    CLI::App app("Controls imprintd over the system bus. See imprintctl(1).", "imprintctl");
    Options options;
    Command command = nullptr;
    declare(app, options, command);
    try {
        app.parse(argc, argv);
        if (command == nullptr)
            throw CLI::RequiredError("A command");
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : static_cast<int>(Exit::usage);
    }
    return run(options, command);
}
