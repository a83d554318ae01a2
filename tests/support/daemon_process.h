// SPDX-License-Identifier: Apache-2.0
// A whole device for tests: TPM, disk, bus, and the real imprintd with a configuration of the test's.
#pragma once

#include "tests/support/notify_socket.h"
#include "tests/support/private_bus.h"
#include "tests/support/software_tpm.h"

#include <memory>

namespace imprint::test {

class DaemonProcess {
public:
    struct Settings {
        SoftwareTpm::Kind tpm = SoftwareTpm::Kind::manufactured;
        unsigned chip = 0;
        std::filesystem::path trust_bundle; // TrustBundle=
        std::string tcti; // TCTI=; empty: the test TCTI on the TPM's socket, so that tpm2-tools can look in between
        std::string configuration; // further lines, "[Timeouts]\nMessageSec=2\n"
        std::string bus_policy = PrivateBus::permissive;
    };
    // Starts the TPM and the bus; start() starts imprintd.
    explicit DaemonProcess(Settings settings);

    // From the next start on: further options of the test TCTI, "kill=5" (test_tcti_module.cpp).
    void set_tcti_options(const std::string& options);

    void start(); // returns after READY=1
    void launch(const Environment& environment = {}); // without waiting: for daemons that are meant to fail
    int stop(); // SIGTERM; the exit code
    void kill(); // SIGKILL, as if the power failed

    SoftwareTpm& tpm() { return tpm_; }
    const PrivateBus& bus() const { return bus_; }
    Process& process() { return *process_; }
    NotifySocket& notifications() { return notifications_; }
    std::filesystem::path state_directory() const { return directory_.path() / "state"; }
    std::filesystem::path directory() const { return directory_.path(); } // for what a test needs beside it
    std::filesystem::path configuration() const { return directory_.path() / "imprintd.conf"; }
    void wipe_disk() const; // everything in the state directory
    std::string log() const; // what imprintd wrote to stderr, all its runs

    // A program with this bus as its system bus.
    Finished run(const Arguments& arguments, const std::string& input = {}) const;
    Finished imprintctl(const Arguments& arguments, const std::string& input = {}) const;
    static std::string imprintctl_path();
    // `busctl --system call` of one of Device1's methods: {"Personalize", "sa{sv}", "localhost:1", "0"}.
    Finished call(const Arguments& method_signature_values) const;
    // The property as busctl prints it, "s \"blank\"".
    std::string property(const std::string& name) const;

private:
    void write_configuration() const;

    Settings settings_;
    TemporaryDirectory directory_;
    SoftwareTpm tpm_;
    PrivateBus bus_;
    NotifySocket notifications_;
    std::unique_ptr<Process> process_;
};

} // namespace imprint::test
