// SPDX-License-Identifier: Apache-2.0
// imprintctl: the command line over org.imprint.Device1.
#include "daemon/base/file.h"
#include "daemon/base/serial.h"
#include "daemon/pki/certificate.h"
#include "daemon/pki/identity.h"
#include "daemon/pki/public_key.h"
#include "dbus/bus_device.h"
#include "dbus/imprintctl/client.h"
#include "dbus/imprintctl/connect.h"
#include "dbus/imprintctl/introduction.h"
#include "dbus/imprintctl/key.h"
#include "dbus/imprintctl/link.h"
#include "dbus/imprintctl/output.h"
#include "dbus/imprintctl/peer.h"
#include "dbus/imprintctl/recovery.h"
#include "provisioning/protocol/central_set.h"

#include <CLI/CLI.hpp>

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <iostream>
#include <unistd.h>

namespace imprint::ctl {

namespace {

constexpr std::chrono::seconds link_patience{30}; // for the daemon

// What the command line says. A member is filled by the command that has it.
struct Options {
    Style style;
    std::string address; // personalize; empty: as configured
    std::vector<std::string> sources; // recover; none: the archive as configured
    std::optional<std::uint64_t> sequence; // recover, restore
    bool check = false; // recover
    std::string proxy_command; // personalize
    std::string number_file, ticket_file; // personalize; empty: none
    std::string identity; // personalize; empty: whatever the station gives
    bool no_switch = false;
    std::string file = "-"; // export-backup, export-certificate, restore, update-central
    Target central; // connect
    std::string listen; // connect
    bool chain = false; // export-certificate
    bool public_key = false;
    KeyRequest key;
};

class Commands {
public:
    explicit Commands(const Options& options)
        : options_(options)
        , output_(options.style)
    {
    }

    void status() { output_.status(client_.properties()); }

    void personalize()
    {
        introduction_ = read_introduction(options_.number_file, options_.ticket_file);
        if (personalized_as_it_is())
            return;
        introduction_ = prompt_for_number();
        personalize_once();
    }

    void enter_operating() { change("EnterOperating", {}); }
    void enter_personalization() { change("EnterPersonalization", {}); }

    void export_backup()
    {
        if (options_.file == "-" && isatty(STDOUT_FILENO) != 0)
            throw Error(Reason::invalid_argument, "the record is binary: give a FILE, or send stdout elsewhere");
        require_replaceable_file();
        const auto answer = client_.call("ExportBackup");
        const void* data = nullptr;
        std::size_t size = 0;
        if (const int result = sd_bus_message_read_array(answer.get(), 'y', &data, &size); result < 0)
            throw bus_failure(result);
        write({static_cast<const std::uint8_t*>(data), size});
    }

    void export_certificate()
    {
        require_replaceable_file();
        const auto properties = client_.properties();
        const auto chain = pki::certificates_from_pem(as_bytes(properties["CertificateChain"].get<std::string>()));
        if (chain.empty())
            throw Error(Reason::wrong_state, "this device has no module certificate");
        if (options_.public_key)
            write(pki::public_key_pem(chain.front().spki()));
        else
            write(pki::to_pem(options_.chain ? chain : pki::Certificates{chain.front()}));
    }

    void connect()
    {
        if (options_.listen.empty())
            return connect_standard_streams(client_, options_.central);
        serve_socket(client_, options_.central, options_.listen,
                     [this](const Failure& failure) { output_.failure(failure); });
    }

    // The first source that leads on.
    void recover()
    {
        for (std::size_t i = 0; i + 1 < options_.sources.size(); ++i)
            if (recovered_from(options_.sources[i]))
                return;
        recover_from(options_.sources.empty() ? std::string() : options_.sources.back());
    }

    void restore() { recover_from_record(read_record(options_.file, client_.properties(), options_.sequence)); }

    void update_central()
    {
        const auto set = read_input(options_.file, protocol::max_central_set, "a list of the central system's keys");
        change("UpdateCentral",
               [&](sd_bus_message* call) { return sd_bus_message_append_array(call, 'y', set.data(), set.size()); });
    }

    void link()
    {
        // Nothing of ours waits for signals here: they end us.
        sigset_t handled;
        sigemptyset(&handled);
        sigaddset(&handled, SIGINT);
        sigaddset(&handled, SIGTERM);
        sigprocmask(SIG_UNBLOCK, &handled, nullptr);
        dbus::BusDevice device(dbus::BusDevice::system_bus(), link_patience);
        serve_link(device);
    }

    void adopt_root() { change("AdoptRoot", {}); }
    void cancel() { client_.call("Cancel"); }

    void key() { use_keys(client_, output_, options_.style, options_.key); }

    void end_progress() { output_.end_progress(); }

private:
    // False: the station wants a transaction number, and somebody is there to type it.
    bool personalized_as_it_is()
    {
        try {
            personalize_once();
            return true;
        } catch (const Failure& failure) {
            const bool somebody = isatty(STDIN_FILENO) != 0 && !options_.style.json;
            if (failure.reason != name(Reason::transaction_number_required) || introduction_ || !somebody)
                throw;
            output_.end_progress();
            return false;
        }
    }

    void personalize_once()
    {
        if (!options_.proxy_command.empty())
            return personalize_through_command();
        if (is_serial(options_.address))
            return personalize_over(open_serial(parse_serial(options_.address)).get());
        change("Personalize", [this](sd_bus_message* call) {
            const int result = sd_bus_message_append(call, "s", options_.address.c_str());
            return result < 0 ? result : append_options(call);
        });
    }

    int append_options(sd_bus_message* call)
    {
        int result = sd_bus_message_open_container(call, 'a', "{sv}");
        const auto append = [&](auto... parts) {
            if (result >= 0)
                result = sd_bus_message_append(call, "{sv}", parts...);
        };
        append("switch", "b", options_.no_switch ? 0 : 1);
        if (introduction_) {
            sd_bus_message_sensitive(call);
            append(introduction_->option, "s", introduction_->c_str());
        }
        if (!options_.identity.empty()) {
            const auto [kind, value] = pki::parse_identity(options_.identity).or_throw();
            append("identity", "(ss)", kind.c_str(), value.c_str());
        }
        return result < 0 ? result : sd_bus_message_close_container(call);
    }

    // The way to the station is the caller's: the daemon needs no right to the line.
    void personalize_over(int descriptor)
    {
        change("PersonalizeWithDescriptor", [this, descriptor](sd_bus_message* call) {
            const int result = sd_bus_message_append(call, "h", descriptor);
            return result < 0 ? result : append_options(call);
        });
    }

    void personalize_through_command()
    {
        ProxyCommand command(options_.proxy_command);
        try {
            personalize_over(command.descriptor());
        } catch (Failure& failure) {
            if (const auto end = command.finish())
                failure.why += " (the command " + *end + ")";
            throw;
        }
    }

    // Anything else would be replaced, /dev/null for example.
    void require_replaceable_file() const
    {
        if (options_.file != "-" && std::filesystem::exists(options_.file) &&
            !std::filesystem::is_regular_file(options_.file))
            throw Error(Reason::invalid_argument, options_.file + " is not a regular file (- is stdout)");
    }

    void write(BytesView content) const
    {
        if (options_.file != "-")
            return write_file(options_.file, content, 0644);
        std::cout.write(as_text(content).data(), static_cast<std::streamsize>(content.size())).flush();
        if (!std::cout)
            throw Error(Reason::storage_failed, "cannot write to stdout");
    }

    Client::Progress progress()
    {
        if (!output_.wants_progress())
            return {};
        return [this](unsigned percent, const std::string& step) { output_.progress(percent, step); };
    }

    void change(const char* method, const Client::Arguments& arguments)
    {
        client_.call(method, arguments, progress());
        output_.end_progress();
        output_.done(client_.properties());
    }

    // False: this source does not lead on, but another one may.
    bool recovered_from(const std::string& source)
    {
        const auto pass_over = [&](const Failure& failure) {
            output_.end_progress();
            output_.passed_over(source, failure);
        };
        try {
            recover_from(source);
            return true;
        } catch (const Failure& failure) {
            if (failure.exit != Exit::refused && failure.exit != Exit::peer_unreachable)
                throw;
            pass_over(failure);
        } catch (const Error& error) {
            pass_over(failure_of(error.refusal()));
        }
        return false;
    }

    void recover_from(const std::string& source)
    {
        if (!source.empty() && !is_archive(source))
            return recover_from_record(read_record(source, client_.properties(), options_.sequence));
        recover_by(options_.check ? "CheckRecovery" : "Recover",
                   [&](sd_bus_message* call) { return sd_bus_message_append(call, "s", source.c_str()); });
    }

    void recover_from_record(const Bytes& record)
    {
        recover_by(options_.check ? "CheckRestore" : "Restore", [&](sd_bus_message* call) {
            return sd_bus_message_append_array(call, 'y', record.data(), record.size());
        });
    }

    void recover_by(const char* method, const Client::Arguments& source)
    {
        const auto arguments = [&](sd_bus_message* call) {
            if (const int result = source(call); result < 0)
                return result;
            return options_.sequence ? sd_bus_message_append(call, "a{sv}", 1, "sequence", "t", *options_.sequence)
                                     : sd_bus_message_append(call, "a{sv}", 0);
        };
        if (!options_.check)
            return change(method, arguments);
        const auto answer = client_.call(method, arguments, progress());
        output_.end_progress();
        output_.report(read_dictionary(answer.get()));
    }

    const Options& options_;
    std::optional<GivenIntroduction> introduction_;
    Output output_;
    Client client_;
};

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
