// SPDX-License-Identifier: Apache-2.0
// A board with Debian's kernel, a disk and a TPM, in software: QEMU without KVM, and swtpm behind its CRB interface.
#pragma once

#include "tests/machine/agent.h"
#include "tests/machine/tpm_line.h"

#include <memory>

namespace imprint::test {

class Machine {
public:
    // A new board that is off: the disk with the packages installed, a manufactured TPM (of those with one `chip`
    // number each is a copy). Throws std::runtime_error with what to do where this machine cannot run one.
    explicit Machine(unsigned chip = 0);
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;
    ~Machine();

    // While it is off: a file on its disk, with the directories that it is in.
    void put(const std::string& path, const std::string& content) const;
    // While both are off.
    void exchange_disks(Machine& other) { std::swap(disk_, other.disk_); }
    // From the next start on, a TCP port of the guest at this address of ours ("127.0.0.1:port").
    std::string forward(unsigned guest_port);
    // From the next start on: "2040-01-01T00:00:00".
    void set_clock(const std::string& time) { clock_ = time; }

    void start(); // returns when the guest has started all its units
    void shut_down();
    void reboot();
    void cut_power(); // SIGKILL of QEMU and swtpm: what the guest has not written is gone

    // A shell script as root.
    Finished run(const std::string& script, const std::string& input = {});
    // What it prints. Throws std::runtime_error if it fails.
    std::string must(const std::string& script, const std::string& input = {});
    // A script that gets stuck where its TPM comes to this place; its end if it does not come there.
    std::optional<Finished> run_until(const Place& place, const std::string& script);

    // Our 127.0.0.1, as the guest sees it: "127.0.0.1:1" is "10.0.2.2:1" there.
    static std::string seen_by_guest(std::string address);

private:
    struct Running;
    Arguments qemu(int tpm_line, int agents_line) const; // descriptors
    std::string console() const;

    TemporaryDirectory directory_;
    std::filesystem::path disk_;
    std::string forwards_; // of QEMU's network
    std::string clock_ = "utc";
    std::unique_ptr<Running> running_;
};

} // namespace imprint::test
