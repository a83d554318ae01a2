// SPDX-License-Identifier: Apache-2.0
#include "tests/support/factory.h"

#include "tests/support/software_tpm.h"

#include <stdexcept>

namespace imprint::test {

namespace {

Finished must(Finished finished, const std::string& what)
{
    if (finished.status != 0)
        throw std::runtime_error(what + ": " + finished.out + finished.err);
    return finished;
}

std::string must_listen(Process& process, const std::string& what, const std::filesystem::path& log)
{
    const auto address = process.line_after("listening " + what + " ");
    if (!address)
        throw std::runtime_error(what + " did not start: " + to_string(read_file(log, 1 << 20).value_or(Bytes())));
    return *address;
}

// The first start takes any ports, later ones the same again.
std::string or_any(const std::string& address) { return address.empty() ? "127.0.0.1:0" : address; }

} // namespace

Factory::Factory()
{
    const auto authority = [this](Arguments arguments) {
        arguments.insert(arguments.begin(), {IMPRINT_TEST_AUTHORITY, "--directory", (*this / "authority").string()});
        return must(run(arguments), "imprint-authority").out;
    };
    authority({"init", "--name", "Example Manufacturer"});
    const auto server = [&](const std::string& role, const std::string& name, const std::string& keys,
                            const Arguments& more = {}) {
        // 10.0.2.2: this machine, to a guest of QEMU's, which may live far beyond 2038.
        Arguments arguments{role,       name,     "--host", "127.0.0.1", "--host",
                            "10.0.2.2", "--days", "9000",   "--output",  (*this / keys).string()};
        arguments.insert(arguments.end(), more.begin(), more.end());
        authority(arguments);
    };
    server("station", "line-1", "station-keys", {"--delegate-identity-ca"});
    server("archive", "archive", "archive-keys");
    server("central", "central", "central-keys");
    write_file(trust_bundle(), as_bytes(authority({"trust-bundle"})), 0644);
    write_file(*this / "vendor.pem", SoftwareTpm::vendor_ca(), 0644);
    must(station_command({"init"}), "imprint-station init");
    must(station_command({"identity", "range", "--prefix", "SN", "--width", "6", "--from", "1", "--to", "999999"}),
         "imprint-station identity");
    std::filesystem::create_directory(*this / "remembered");
    start_archive();
    start_station();
}

void Factory::start_archive()
{
    const auto keys = *this / "archive-keys";
    const auto log = *this / "archive.log";
    archive_ = std::make_unique<Process>(Arguments{IMPRINT_TEST_ARCHIVE, "--database", (*this / "archive.db").string(),
                                                   "--trust", trust_bundle().string(), "serve", "--certificate",
                                                   (keys / "tls.pem").string(), "--key", (keys / "tls.key").string(),
                                                   "--listen", or_any(archive_address_), "--listen-tls",
                                                   or_any(archive_tls_address_)},
                                         Environment{}, log);
    archive_address_ = must_listen(*archive_, "http", log);
    archive_tls_address_ = must_listen(*archive_, "https", log);
}

void Factory::start_station(const Arguments& more)
{
    const auto log = *this / "station.log";
    Arguments arguments{IMPRINT_TEST_STATION,
                        "--state",
                        (*this / "station").string(),
                        "serve",
                        "--listen",
                        or_any(station_address_),
                        "--listen-operations",
                        or_any(operations_address_),
                        "--directory",
                        (*this / "station-keys").string(),
                        "--vendor-ca",
                        (*this / "vendor.pem").string(),
                        "--archive",
                        "https://" + archive_tls_address_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    station_.reset(); // its address is free only then
    station_ = std::make_unique<Process>(arguments, Environment{}, log);
    station_address_ = must_listen(*station_, "station", log);
    operations_address_ = must_listen(*station_, "operations", log);
}

void Factory::start_central(const Arguments& more)
{
    const auto log = *this / "central.log";
    if (central_address_.empty())
        must(central_command({"init"}), "imprint-central init");
    Arguments arguments{IMPRINT_TEST_CENTRAL,
                        "--state",
                        (*this / "central").string(),
                        "serve",
                        "--listen",
                        central_address_.empty() ? "127.0.0.1:0" : central_address_,
                        "--directory",
                        (*this / "central-keys").string(),
                        "--crl",
                        (*this / "station" / "crl.pem").string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    central_.reset(); // its address is free only then
    central_ = std::make_unique<Process>(arguments, Environment{}, log);
    central_address_ = must_listen(*central_, "central", log);
}

std::filesystem::path Factory::certify_operator(const std::string& name, const Arguments& permissions) const
{
    const auto files = *this / ("operator-" + name);
    must(run({IMPRINT_TEST_AUTHORITY, "--directory", (*this / "authority").string(), "operator", name, "--output",
              files.string()}),
         "imprint-authority operator");
    Arguments add{"operator", "add", (files / "tls.pem").string()};
    for (const auto& permission : permissions)
        add.insert(add.end(), {"--may", permission});
    must(station_command(add), "imprint-station operator");
    return files;
}

void Factory::remember()
{
    archive_.reset();
    station_.reset();
    for (const auto& name : {"station", "archive.db", "archive.db-wal"})
        if (std::filesystem::exists(*this / name))
            std::filesystem::copy(*this / name, *this / "remembered" / name, std::filesystem::copy_options::recursive);
    start_archive();
    start_station();
}

void Factory::forget()
{
    archive_.reset();
    station_.reset();
    for (const auto& name : {"station", "archive.db", "archive.db-wal", "archive.db-shm"})
        std::filesystem::remove_all(*this / name);
    std::filesystem::copy(*this / "remembered", *this / "", std::filesystem::copy_options::recursive);
    start_archive();
    start_station();
}

Finished Factory::station_command(const Arguments& arguments) const
{
    Arguments all{IMPRINT_TEST_STATION, "--state", (*this / "station").string()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run(all);
}

Finished Factory::archive_command(const Arguments& arguments) const
{
    Arguments all{IMPRINT_TEST_ARCHIVE, "--database", (*this / "archive.db").string(), "--trust",
                  trust_bundle().string()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run(all);
}

std::filesystem::path Factory::certify_station(const std::string& name) const
{
    const auto keys = *this / (name + "-keys");
    must(run({IMPRINT_TEST_AUTHORITY, "--directory", (*this / "authority").string(), "station", name, "--host",
              "127.0.0.1", "--delegate-identity-ca", "--output", keys.string()}),
         "imprint-authority station");
    return keys;
}

Finished Factory::central_command(const Arguments& arguments) const
{
    Arguments all{IMPRINT_TEST_CENTRAL, "--state", (*this / "central").string()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run(all);
}

void Factory::wait_for_outbox() const { must(station_command({"outbox", "--wait", "30"}), "imprint-station outbox"); }

} // namespace imprint::test
