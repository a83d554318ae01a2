// SPDX-License-Identifier: Apache-2.0
// imprintd: the device's daemon. The order of construction in run() is its architecture.
#include "daemon/config.h"
#include "daemon/journal.h"
#include "dbus/boundary.h"
#include "dbus/service.h"

#include <systemd/sd-daemon.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <getopt.h>
#include <iostream>
#include <optional>
#include <sys/file.h>
#include <syslog.h>

namespace imprint {

namespace {

constexpr auto* vendor_directory = "/usr/lib/imprint";
constexpr auto* administrator_directory = "/etc/imprint";
constexpr int exit_usage = 2;
constexpr int exit_configuration = 78; // EX_CONFIG of sysexits(3)

constexpr auto* usage = "Usage: imprintd [--config FILE]\n"
                        "The security module's daemon: serves org.imprint.Device1 on the system bus.\n"
                        "  --config FILE  read this file alone, not imprintd.conf and its drop-ins\n"
                        "  --help         show this\n"
                        "  --version      show the version\n"
                        "See imprintd(8) and imprintd.conf(5).\n";

Config configuration(const std::optional<std::string>& file)
{
    auto config = file ? load_config(*file) : load_config(vendor_directory, administrator_directory);
    if (const char* credentials = std::getenv("CREDENTIALS_DIRECTORY"))
        read_credentials(config.tpm, credentials);
    return config;
}

// Held for the life of the process; the directory itself, so that wiping its contents does not free it.
Fd lock(const std::filesystem::path& directory)
{
    Fd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd)
        throw_errno("cannot open the state directory " + directory.string());
    if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
        throw Error(Reason::not_configured,
                    "another imprintd works in " + directory.string() + ": each needs a StateDirectory= of its own");
    return fd;
}

std::unique_ptr<tpm::SecurityModule> open_tpm(const tpm::Settings& settings)
{
    tpm::Settings own;
    own.tcti = settings.tcti;
    own.storage_key = settings.storage_key;
    own.identity_key = settings.identity_key;
    own.key_file_parent = settings.key_file_parent;
    own.epoch_index = settings.epoch_index;
    own.anchor_index = settings.anchor_index;
    own.owner_auth = settings.owner_auth.clone();
    own.endorsement_auth = settings.endorsement_auth.clone();
    return std::make_unique<tpm::SecurityModule>(tpm::Connection(settings.tcti), std::move(own));
}

dbus::Event make_loop()
{
    sd_event* raw = nullptr;
    dbus::check(sd_event_new(&raw), "make an event loop");
    dbus::Event loop(raw);
    dbus::check(sd_event_set_watchdog(raw, 1), "serve the watchdog");
    return loop;
}

dbus::Bus make_bus(sd_event* loop)
{
    sd_bus* raw = nullptr;
    dbus::check(sd_bus_open_system_with_description(&raw, "imprintd"), "connect to the system bus");
    dbus::Bus bus(raw);
    dbus::check(sd_bus_set_exit_on_disconnect(raw, 1), "watch the bus");
    dbus::check(sd_bus_attach_event(raw, loop, SD_EVENT_PRIORITY_NORMAL), "serve the bus");
    return bus;
}

void show_status(const dbus::Shown& device)
{
    const auto step = device.busy ? device.progress.second : device.state_hint;
    sd_notifyf(0, "STATUS=%s: %s", device.state.c_str(), step.c_str());
}

std::string advised(const Refusal& failure)
{
    const char* end = failure.detail.ends_with('.') ? " " : ". ";
    return failure.detail + end + std::string(hint(failure.reason));
}

std::string because(const Refusal& failure) { return std::string(sentence(failure.reason)) + " " + advised(failure); }

void log(const dbus::Service::Happened& happened)
{
    using What = dbus::Service::Happened::What;
    const auto& device = happened.device;
    std::vector<journal::Field> fields{
        {"IMPRINT_STATE", device.state}, {"IMPRINT_CHIP", device.chip_id}, {"IMPRINT_CALL", happened.call}};
    if (happened.failure)
        fields.push_back({"IMPRINT_REASON", std::string(name(happened.failure->reason))});
    const auto write = [&](int priority, const char* id, const std::string& message) {
        journal::write(priority, id, dbus::printable(message), fields);
    };
    switch (happened.what) {
    case What::looked:
        write(happened.failure ? LOG_WARNING : LOG_INFO, journal::started,
              "The state is " + device.state + ". " + device.state_hint);
        break;
    case What::state_changed:
        write(LOG_NOTICE, journal::state_changed, "The state is now " + device.state + ". " + device.state_hint);
        break;
    case What::call_began:
        write(LOG_INFO, journal::call_began, happened.call + " began.");
        break;
    case What::call_ended:
        write(LOG_INFO, journal::call_ended, happened.call + " is done.");
        break;
    case What::call_failed:
        write(LOG_WARNING, journal::failed, happened.call + " failed: " + because(*happened.failure));
        break;
    case What::faulty:
        write(LOG_ERR, journal::failed, "imprintd cannot go on: " + because(*happened.failure));
        break;
    }
    show_status(device);
}

int on_signal(sd_event_source* source, const signalfd_siginfo*, void* service) noexcept
{
    auto* loop = sd_event_source_get_event(source);
    sd_notify(0, "STOPPING=1");
    const auto failure =
        dbus::failure_of([&] { static_cast<dbus::Service*>(service)->stop([loop] { sd_event_exit(loop, 0); }); });
    return failure ? sd_event_exit(loop, EXIT_FAILURE) : 0;
}

int run(const std::optional<std::string>& file)
{
    const auto config = configuration(file);
    const auto locked = lock(config.device.state_directory);
    tpm::Worker worker([&config] { return open_tpm(config.tpm); });
    device::Device device(worker, config.device);
    const auto loop = make_loop();
    const auto bus = make_bus(loop.get());
    dbus::Service service(
        bus.get(), loop.get(), device,
        {config.station_address, config.archive_address, config.central_address, [&worker] { worker.forget(); }}, log);
    for (const int number : {SIGTERM, SIGINT})
        dbus::check(sd_event_add_signal(loop.get(), nullptr, number, on_signal, &service), "watch signals");
    service.start([] { sd_notify(0, "READY=1"); });
    return dbus::check(sd_event_loop(loop.get()), "run");
}

// Before any thread, so that all of them inherit it.
void prepare_process()
{
    sigset_t handled;
    sigemptyset(&handled);
    sigaddset(&handled, SIGTERM);
    sigaddset(&handled, SIGINT);
    sigprocmask(SIG_BLOCK, &handled, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    setenv("TSS2_LOG", "all+NONE", 0); // errors come as exceptions, and are logged once
}

// --config FILE, or nothing; ends the process for --help, --version and mistakes.
std::optional<std::string> parse(int argc, char** argv)
{
    enum { help = 256, version, config };
    constexpr std::array options{option{"help", no_argument, nullptr, help},
                                 option{"version", no_argument, nullptr, version},
                                 option{"config", required_argument, nullptr, config}, option{}};
    std::optional<std::string> file;
    for (int chosen = 0; (chosen = getopt_long(argc, argv, "", options.data(), nullptr)) != -1;) {
        if (chosen == config) {
            file = optarg;
        } else if (chosen == help || chosen == version) {
            std::cout << (chosen == help ? usage : "imprintd " IMPRINT_VERSION "\n");
            std::exit(EXIT_SUCCESS);
        } else {
            std::cerr << usage;
            std::exit(exit_usage);
        }
    }
    if (optind < argc) {
        std::cerr << "imprintd: unexpected argument '" << argv[optind] << "'\n" << usage;
        std::exit(exit_usage);
    }
    return file;
}

} // namespace

} // namespace imprint

int main(int argc, char** argv)
{
    using namespace imprint;
    const auto file = parse(argc, argv);
    prepare_process();
    int status = EXIT_FAILURE;
    const auto failure = dbus::failure_of([&] { status = run(file); });
    if (!failure)
        return status;
    journal::write(LOG_ERR, journal::failed, dbus::printable(advised(*failure)),
                   {{"IMPRINT_REASON", std::string(name(failure->reason))}});
    return failure->reason == Reason::not_configured ? exit_configuration : EXIT_FAILURE;
}
