// SPDX-License-Identifier: Apache-2.0
#include "tests/support/software_tpm.h"

#include "tests/support/manufacture.h"
#include "tests/support/test_tcti.h"

#include <sys/socket.h>

#include <fstream>
#include <thread>

namespace imprint::test {

namespace {

using namespace std::chrono_literals;

// swtpm answers as soon as it listens; nothing tells when.
void wait_for(const std::filesystem::path& socket)
{
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    const Octets get_random{0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7b, 0, 1};
    for (;;)
        try {
            Wire(socket.string()).send(get_random);
            return;
        } catch (const std::runtime_error&) {
            if (std::chrono::steady_clock::now() > deadline)
                throw;
            std::this_thread::sleep_for(1ms);
        }
}

} // namespace

SoftwareTpm::SoftwareTpm(Kind kind, Access access, unsigned chip)
    : access_(access)
{
    if (kind == Kind::manufactured)
        std::filesystem::copy_file(manufactured_state(chip), directory_.path() / "tpm2-00.permall");
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        throw_errno("socketpair");
    ours_ = Fd(pair[0]);
    theirs_ = Fd(pair[1]); // kept, so that a restarted TPM finds the same line
    start();
}

SoftwareTpm::~SoftwareTpm() { kill(); }

std::filesystem::path SoftwareTpm::socket() const { return directory_.path() / "tpm.sock"; }

std::string SoftwareTpm::tools_tcti() const { return "swtpm:path=" + socket().string(); }

void SoftwareTpm::start()
{
    std::vector<std::string> arguments{"swtpm",
                                       "socket",
                                       "--tpm2",
                                       "--tpmstate",
                                       "dir=" + directory_.path().string(),
                                       "--flags",
                                       "not-need-init,startup-clear",
                                       "--seccomp",
                                       "action=none",
                                       "--log",
                                       "file=" + (directory_.path() / "swtpm.log").string()};
    if (access_ == Access::descriptor) {
        arguments.insert(arguments.end(), {"--fd", std::to_string(theirs_.get()), "--terminate"});
        process_.emplace(arguments, Environment{}, std::filesystem::path{}, std::vector{theirs_.get()});
        return;
    }
    const auto path = socket().string();
    std::filesystem::remove(path);
    std::filesystem::remove(path + ".ctrl");
    arguments.insert(arguments.end(), {"--server", "type=unixio,path=" + path});
    arguments.insert(arguments.end(), {"--ctrl", "type=unixio,path=" + path + ".ctrl"});
    process_.emplace(arguments);
    wait_for(path);
}

void SoftwareTpm::kill() { process_.reset(); }

Bytes SoftwareTpm::send(BytesView command) const
{
    const Octets copy(command.begin(), command.end());
    return access_ == Access::descriptor ? Wire(descriptor()).send(copy) : Wire(socket().string()).send(copy);
}

void SoftwareTpm::clear() const
{
    const Bytes command{0x80, 0x02, 0, 0,    0,    27, 0, 0,    0x01, 0x26, // TPM2_Clear
                        0x40, 0,    0, 0x0a, // TPM_RH_LOCKOUT
                        0,    0,    0, 9,    0x40, 0,  0, 0x09, 0,    0,    0, 0, 0}; // an empty password
    const auto response = send(command);
    if (response.size() < 10 || response[6] || response[7] || response[8] || response[9])
        throw std::runtime_error("TPM2_Clear: " + hex(response));
}

Bytes SoftwareTpm::vendor_ca() { return manufactured_vendor_ca(); }

CommandCount read_count_file(const std::filesystem::path& path)
{
    CommandCount out;
    std::ifstream file(path);
    std::uint32_t code = 0;
    std::int64_t microseconds = 0;
    while (file >> std::hex >> code >> std::dec >> microseconds) {
        ++out.commands;
        ++out.by_code[code];
        out.busy += std::chrono::microseconds(microseconds);
    }
    return out;
}

std::string test_tcti(const std::string& options) { return std::string(IMPRINT_TEST_TCTI) + ":" + options; }

} // namespace imprint::test
