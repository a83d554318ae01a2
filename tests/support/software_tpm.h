// SPDX-License-Identifier: Apache-2.0
// A software TPM (swtpm) with a state of its own: real, parallel-safe, 7 ms to start.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/file.h"
#include "tests/support/process.h"

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace imprint::test {

class SoftwareTpm {
public:
    // bare: no endorsement key and no certificate. manufactured: RSA 2048 (0x81010001) and P-384 (0x81010016) EKs with
    // certificates by the vendor CA of the tests.
    enum class Kind { bare, manufactured };
    // descriptor: for TCTIs in this process. socket: for programs (and any number of in-process TCTIs).
    enum class Access { descriptor, socket };

    // Manufactured TPMs of one `chip` number are copies of each other (the same EK), those of different numbers are
    // not; every bare one is its own. Making a number costs 0.7 s, once a build directory.
    explicit SoftwareTpm(Kind kind = Kind::bare, Access access = Access::descriptor, unsigned chip = 0);
    ~SoftwareTpm();
    SoftwareTpm(SoftwareTpm&&) = delete;

    int descriptor() const { return ours_.get(); } // stays valid over kill() and start()
    std::filesystem::path socket() const; // the control socket is this with ".ctrl"
    std::string tools_tcti() const; // for tpm2-tools: "swtpm:path=..."

    void kill(); // power off, without TPM2_Shutdown
    void start(); // power on, TPM2_Startup(CLEAR): a TPM reset
    void restart()
    {
        kill();
        start();
    }
    void clear() const; // TPM2_Clear with the (empty) lockout authorization

    // One raw command, past every TCTI.
    Bytes send(BytesView command) const;

    // PEM of the CA that signs the EK certificates: the root and the intermediate.
    static Bytes vendor_ca();

private:
    Access access_;
    TemporaryDirectory directory_;
    Fd ours_, theirs_;
    std::optional<Process> process_;
};

// What a program under the loadable test TCTI has done so far.
struct CommandCount {
    std::size_t commands = 0;
    std::map<std::uint32_t, std::size_t> by_code;
    std::chrono::microseconds busy{};
};
CommandCount read_count_file(const std::filesystem::path& path);

// Configuration of the loadable test TCTI: "/build/.../libtss2-tcti-imprint-test.so:" + options.
std::string test_tcti(const std::string& options);

} // namespace imprint::test
