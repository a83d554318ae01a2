// SPDX-License-Identifier: Apache-2.0
#include "tests/support/manufacture.h"

#include "daemon/base/file.h"
#include "tests/support/process.h"

#include <fcntl.h>
#include <sys/file.h>

#include <stdexcept>

namespace imprint::test {

namespace {

namespace fs = std::filesystem;

const fs::path cache = IMPRINT_TEST_CACHE;

// Tests run in parallel; one makes, the others wait.
class Lock {
public:
    Lock()
    {
        fs::create_directories(cache);
        fd_ = Fd(::open((cache / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        if (!fd_ || ::flock(fd_.get(), LOCK_EX) != 0)
            throw_errno("cannot lock the cache of manufactured TPMs");
    }

private:
    Fd fd_;
};

void write_configuration()
{
    const auto directory = cache.string();
    write_file(cache / "setup.conf",
               as_bytes("create_certs_tool=/usr/bin/swtpm_localca\ncreate_certs_tool_config=" + directory +
                        "/localca.conf\ncreate_certs_tool_options=" + directory +
                        "/localca.options\nactive_pcr_banks=sha256\n"));
    write_file(cache / "localca.conf",
               as_bytes("statedir = " + directory + "/ca\nsigningkey = " + directory +
                        "/ca/signkey.pem\nissuercert = " + directory + "/ca/issuercert.pem\ncertserial = " + directory +
                        "/ca/certserial\n"));
    write_file(cache / "localca.options",
               as_bytes("--platform-manufacturer Imprint\n--platform-version 1\n--platform-model test\n"));
    fs::create_directories(cache / "ca");
}

void run_setup(const fs::path& directory)
{
    const auto done = run({"swtpm_setup", "--tpm2", "--tpmstate", directory.string(), "--create-ek-cert", "--config",
                           (cache / "setup.conf").string(), "--lock-nvram", "--overwrite"});
    if (done.status != 0)
        throw std::runtime_error("swtpm_setup: " + done.out + done.err);
}

} // namespace

fs::path manufactured_state(unsigned chip)
{
    const Lock lock;
    const auto directory = cache / ("chip-" + std::to_string(chip));
    if (!fs::exists(directory)) {
        write_configuration();
        const auto fresh = cache / "fresh";
        fs::remove_all(fresh);
        fs::create_directories(fresh);
        run_setup(fresh);
        fs::rename(fresh, directory);
    }
    return directory / "tpm2-00.permall";
}

Bytes manufactured_vendor_ca()
{
    manufactured_state(0);
    constexpr std::size_t limit = 65536;
    auto pem = read_file(cache / "ca/swtpm-localca-rootca-cert.pem", limit).value();
    const auto intermediate = read_file(cache / "ca/issuercert.pem", limit).value();
    pem.insert(pem.end(), intermediate.begin(), intermediate.end());
    return pem;
}

} // namespace imprint::test
