// SPDX-License-Identifier: Apache-2.0
#include "tests/support/daemon_process.h"

#include <csignal>
#include <stdexcept>

namespace imprint::test {

namespace {

const std::filesystem::path& bus_directory(const std::filesystem::path& directory)
{
    std::filesystem::create_directory(directory / "state");
    // Tests call as other users as well.
    std::filesystem::permissions(directory, std::filesystem::perms(0755));
    return directory;
}

} // namespace

DaemonProcess::DaemonProcess(Settings settings)
    : settings_(std::move(settings))
    , tpm_(settings_.tpm, SoftwareTpm::Access::socket, settings_.chip)
    , bus_(bus_directory(directory_.path()), settings_.bus_policy)
    , notifications_(directory_.path() / "notify")
{
    write_configuration();
}

void DaemonProcess::write_configuration() const
{
    std::string text = "[Device]\nStateDirectory=" + state_directory().string() + "\n";
    if (!settings_.trust_bundle.empty())
        text += "TrustBundle=" + settings_.trust_bundle.string() + "\n";
    text +=
        "[TPM]\nTCTI=" + (settings_.tcti.empty() ? test_tcti("path=" + tpm_.socket().string()) : settings_.tcti) + "\n";
    write_file(configuration(), as_bytes(text + settings_.configuration));
}

void DaemonProcess::set_tcti_options(const std::string& options)
{
    settings_.tcti = test_tcti("path=" + tpm_.socket().string() + (options.empty() ? "" : "," + options));
    write_configuration();
}

void DaemonProcess::start()
{
    launch();
    // A daemon that fails at once would otherwise cost the whole patience of wait_for().
    try {
        notifications_.wait_for("READY=1");
    } catch (const std::runtime_error&) {
        throw std::runtime_error("imprintd does not start: " + log());
    }
}

void DaemonProcess::launch(const Environment& environment)
{
    auto all = bus_.environment();
    all.emplace_back("NOTIFY_SOCKET", (directory_.path() / "notify").string());
    all.insert(all.end(), environment.begin(), environment.end());
    process_ = std::make_unique<Process>(Arguments{IMPRINT_TEST_IMPRINTD, "--config", configuration().string()}, all,
                                         directory_.path() / "log");
}

int DaemonProcess::stop()
{
    process_->signal(SIGTERM);
    return process_->wait();
}

void DaemonProcess::kill()
{
    process_->signal(SIGKILL);
    process_->wait();
}

void DaemonProcess::wipe_disk() const
{
    for (const auto& entry : std::filesystem::directory_iterator(state_directory()))
        std::filesystem::remove_all(entry);
}

std::string DaemonProcess::log() const
{
    constexpr std::size_t limit = 1 << 20;
    return to_string(read_file(directory_.path() / "log", limit).value_or(Bytes{}));
}

Finished DaemonProcess::run(const Arguments& arguments, const std::string& input) const
{
    return test::run(arguments, input, bus_.environment());
}

Finished DaemonProcess::imprintctl(const Arguments& arguments, const std::string& input) const
{
    Arguments all{imprintctl_path()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run(all, input);
}

std::string DaemonProcess::imprintctl_path() { return IMPRINT_TEST_IMPRINTCTL; }

Finished DaemonProcess::call(const Arguments& method_signature_values) const
{
    Arguments arguments{"busctl",
                        "--system",
                        "--timeout=60",
                        "call",
                        "org.imprint.Device1",
                        "/org/imprint/Device1",
                        "org.imprint.Device1"};
    arguments.insert(arguments.end(), method_signature_values.begin(), method_signature_values.end());
    return run(arguments);
}

std::string DaemonProcess::property(const std::string& name) const
{
    auto finished = run({"busctl", "--system", "get-property", "org.imprint.Device1", "/org/imprint/Device1",
                         "org.imprint.Device1", name});
    while (finished.out.ends_with('\n'))
        finished.out.pop_back();
    return finished.out;
}

} // namespace imprint::test
