// SPDX-License-Identifier: Apache-2.0
// imprint-courier: the identification unit. It introduces devices to a station and leaves.
#include "provisioning/courier/links.h"
#include "provisioning/courier/output.h"
#include "provisioning/server/output.h"

#include <CLI/CLI.hpp>

#include <csignal>

namespace imprint::courier {

namespace {

constexpr std::chrono::seconds patience{30}; // with the station

// The same numbers as imprintctl's.
enum Exit {
    done = 0,
    failed = 1,
    usage = 2,
    refused = 3,
    device_unreachable = 7,
    station_unreachable = 8,
    not_confirmed = 9
};

// Whom the courier is talking to: a line that broke means something else.
enum class Side { own, device, station };

struct Options {
    bool json = false;
    std::string station;
    std::string directory = "/etc/imprint-courier";
    std::string key;
    std::string passphrase;
    Wanted wanted;
    unsigned minutes = 0;
    std::string link;
    bool yes = false;
    bool qr = false;
};

class Courier {
public:
    explicit Courier(Options& options)
        : options_(options)
    {
        options_.wanted.validity = std::chrono::minutes(options_.minutes);
    }

    Exit introduce()
    {
        // What is missing here is told before anybody is asked for anything.
        Credentials credentials = load();
        const auto device = open_link(options_.link);
        side_ = Side::device;
        options_.wanted.chip = device->chip();
        side_ = Side::own;
        if (!options_.yes && !confirmed(options_.link, options_.wanted.chip))
            return not_confirmed;
        if (options_.wanted.reason.empty())
            options_.wanted.reason = "by imprint-courier";
        side_ = Side::station;
        const auto introduction = get_introduction(options_.station, std::move(credentials), options_.wanted, patience);
        side_ = Side::device;
        device->introduce(introduction.text, introduction.station_address);
        print_introduced(options_.wanted.chip, introduction, options_.json);
        return done;
    }

    Exit number()
    {
        options_.wanted.kind = protocol::IntroductionKind::transaction_number;
        if (options_.wanted.reason.empty())
            options_.wanted.reason = "for typing, by imprint-courier";
        Credentials credentials = load();
        side_ = Side::station;
        const auto introduction = get_introduction(options_.station, std::move(credentials), options_.wanted, patience);
        print_number(options_.wanted.chip, introduction, options_.json, options_.qr);
        return done;
    }

    Exit exit_of(Reason reason) const
    {
        switch (reason) {
        case Reason::invalid_argument:
        case Reason::not_configured:
            return side_ == Side::own ? usage : refused;
        case Reason::timed_out:
        case Reason::connection_lost:
        case Reason::connection_refused:
            return side_ == Side::station ? station_unreachable : device_unreachable;
        case Reason::internal:
        case Reason::storage_failed:
            return failed;
        default:
            return side_ == Side::own ? failed : refused;
        }
    }

private:
    Credentials load() const
    {
        return load_credentials(options_.directory, options_.key, pki::read_passphrase(options_.passphrase));
    }

    Options& options_;
    Side side_ = Side::own;
};

using Command = Exit (Courier::*)();

void declare(CLI::App& app, Options& options, Command& chosen)
{
    app.fallthrough();
    app.set_version_flag("--version", "imprint-courier " IMPRINT_VERSION);
    auto* json = app.add_flag("--json", options.json, "Write one JSON document to stdout");
    app.add_option("--station", options.station, "host:port or unix:/path of the station's operations")->required();
    app.add_option("--directory", options.directory, "tls.pem, tls.key and trust.pem, as imprint-authority makes them")
        ->capture_default_str();
    app.add_option("--key", options.key, "OSSL_STORE URI of the key, if it is elsewhere");
    app.add_option("--passphrase", options.passphrase, "The key's passphrase: fd:N (one line) or credential:NAME");
    app.add_option("--reason", options.wanted.reason, "Why; for the station's audit log");
    app.add_option("--minutes", options.minutes, "How long it is good for (default: as the station thinks fit)")
        ->check(CLI::Range(1U, 527040U));
    const auto add = [&](const char* name, const char* help, Command command) {
        return app.add_subcommand(name, help)->callback([&chosen, command] { chosen = command; });
    };
    auto* introduce = add("introduce", "Give a device a ticket, over a local link", &Courier::introduce);
    introduce->add_option("--device", options.link, "unix:/PATH, serial:/DEVICE[,SPEED], dbus or ssh:[USER@]HOST")
        ->required();
    introduce->add_flag("--yes", options.yes, "Do not ask whether the chip is the right one");
    auto* tan = add("tan", "Show a transaction number, to be typed in at a device", &Courier::number);
    tan->add_option("--chip", options.wanted.chip, "It is good for this chip only");
    tan->add_flag("--qr", options.qr, "Show a QR code as well")->excludes(json);
}

int run(Options& options, Command command)
{
    Courier courier(options);
    try {
        return (courier.*command)();
    } catch (const Error& error) {
        server::print_failure("imprint-courier", error.refusal(), options.json);
        return courier.exit_of(error.reason());
    } catch (const std::exception& error) {
        server::print_failure("imprint-courier", {Reason::internal, error.what()}, options.json);
        return failed;
    }
}

} // namespace

} // namespace imprint::courier

int main(int argc, char** argv)
{
    using namespace imprint::courier;
    std::signal(SIGPIPE, SIG_IGN); // a link that closes is an error with a name
    CLI::App app("Introduces devices to a personalization station. See imprint-courier(1).", "imprint-courier");
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
