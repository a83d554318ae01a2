// SPDX-License-Identifier: Apache-2.0
// The real imprint-central with a manufacturer of the test's own.
#pragma once

#include "tests/central/software_module.h"
#include "tests/support/process.h"

#include <functional>

namespace imprint::test {

class RunningCentral {
public:
    // Writes the manufacturer's files and makes the state; starts nothing.
    RunningCentral();

    void start(const Arguments& more = {});
    bool try_start(const Arguments& more = {}); // whether it came up
    void kill();
    int stop(); // SIGTERM; the exit status
    Finished command(const Arguments& arguments) const; // imprint-central with this state
    pid_t pid() const { return process_->pid(); }
    std::string log() const;
    // Waits until the log says so.
    bool logged(const std::string& text, std::size_t times = 1) const;

    // Puts a key into the database, as if the device had fetched it.
    central::NewKey plant_key(const SoftwareModule& device, central::KeyLifetimes lifetimes = {},
                              std::optional<pki::Time> made = {}) const;
    void write_crl(const std::string& name, const pki::Crl& crl, const pki::Certificates& signers) const;

    TestPki pki;
    TemporaryDirectory directory;
    std::string address;
    std::filesystem::path state() const { return directory / "state"; }

private:
    Certified central_;
    std::optional<Process> process_;
};

// GET / and its answer, body only; empty if there is none.
std::string ask(DeviceClient& client);
// Whether a device is let in: the handshake, and an answer to GET /. "" or why not.
std::string refusal_of(const std::string& address, ClientSettings settings);

// Waits until it is true, at most 20 s.
bool eventually(const std::function<bool()>& condition);

} // namespace imprint::test
