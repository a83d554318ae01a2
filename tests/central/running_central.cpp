// SPDX-License-Identifier: Apache-2.0
#include "tests/central/running_central.h"

#include "daemon/base/file.h"

#include <openssl/pem.h>

#include <csignal>
#include <cstdlib>
#include <poll.h>
#include <stdexcept>

namespace imprint::test {

namespace {

constexpr std::size_t max_log = 64 << 20;

Bytes crl_pem(const pki::Crl& crl)
{
    const Owned<BIO, BIO_free_all> bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509_CRL(bio.get(), crl.crl());
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    return {data, data + size};
}

pki::Time clock() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

} // namespace

RunningCentral::RunningCentral()
    : central_(pki.server(pki::Role::central, "Central 1"))
{
    write_file(directory / "trust.pem", pki.trust_pem());
    write_file(directory / "tls.pem", pki::to_pem({central_.certificate}));
    pki::store_key(directory / "tls.key", central_.key.get(), std::nullopt);
    if (const auto done = command({"init"}); done.status != 0)
        throw std::runtime_error(done.err);
}

bool RunningCentral::try_start(const Arguments& more)
{
    Arguments arguments{IMPRINT_CENTRAL, "--state",     state(),       "serve",
                        "--listen",      "127.0.0.1:0", "--directory", directory.path()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    // Tests look at its memory: what was freed is not to be kept back for long.
    const char* sanitizer = std::getenv("ASAN_OPTIONS");
    const std::string options = std::string(sanitizer != nullptr ? sanitizer : "") + ":quarantine_size_mb=1";
    process_.emplace(arguments, Environment{{"ASAN_OPTIONS", options}}, directory / "log");
    const auto line = process_->line_after("listening central ");
    address = line.value_or("");
    return line.has_value();
}

void RunningCentral::start(const Arguments& more)
{
    if (!try_start(more))
        throw std::runtime_error("imprint-central did not start: " + log());
}

void RunningCentral::kill()
{
    process_->signal(SIGKILL);
    process_->wait();
}

int RunningCentral::stop()
{
    process_->signal(SIGTERM);
    return process_->wait();
}

Finished RunningCentral::command(const Arguments& arguments) const
{
    Arguments all{IMPRINT_CENTRAL, "--state", state()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run(all);
}

std::string RunningCentral::log() const { return to_string(read_file(directory / "log", max_log).value_or(Bytes{})); }

bool RunningCentral::logged(const std::string& text, std::size_t times) const
{
    return eventually([&] {
        const std::string all = log();
        std::size_t found = 0;
        for (auto at = all.find(text); at != std::string::npos; at = all.find(text, at + 1))
            ++found;
        return found >= times;
    });
}

central::NewKey RunningCentral::plant_key(const SoftwareModule& device, central::KeyLifetimes lifetimes,
                                          std::optional<pki::Time> made) const
{
    central::Store store(state() / "central.db");
    const central::Sealer sealer(read_secret_file(state() / "storage.key", 32).value());
    central::NewKey key = central::make_key(device.chain(), device.peer(), lifetimes, made.value_or(clock()));
    store.add(central::seal(sealer, copy(key))).or_throw();
    return key;
}

void RunningCentral::write_crl(const std::string& name, const pki::Crl& crl, const pki::Certificates& signers) const
{
    Bytes pem = crl_pem(crl);
    const Bytes certificates = pki::to_pem(signers);
    pem.insert(pem.end(), certificates.begin(), certificates.end());
    write_file(directory / name, pem);
}

std::string ask(DeviceClient& client)
{
    client.write("GET / HTTP/1.1\r\nHost: central\r\nConnection: close\r\n\r\n");
    const std::string answer = client.read_all();
    const auto body = answer.find("\r\n\r\n");
    return body == std::string::npos ? "" : answer.substr(body + 4);
}

std::string refusal_of(const std::string& address, ClientSettings settings)
try {
    DeviceClient client(address, std::move(settings));
    if (auto refused = client.handshake(); !refused.empty())
        return refused;
    return ask(client).empty() ? "closed" : "";
} catch (const std::exception& e) {
    return e.what();
}

bool eventually(const std::function<bool()>& condition)
{
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end)
            return false;
        poll(nullptr, 0, 20);
    }
    return true;
}

} // namespace imprint::test
