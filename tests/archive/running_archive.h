// SPDX-License-Identifier: Apache-2.0
// The real imprint-archive with a manufacturer of the test's own, and curl as its client.
#pragma once

#include "tests/package/software_device.h"
#include "tests/support/process.h"
#include "tests/support/test_pki.h"

#include <map>

namespace imprint::test {

struct Response {
    unsigned status = 0; // 0: no answer
    std::map<std::string, std::string> headers; // names in lower case
    Bytes body;
    std::string reason() const; // of a problem
};

constexpr auto record_type = "application/vnd.imprint.record";

// Who asks: nobody in particular, or somebody with a certificate.
using Client = const Certified*;

class RunningArchive {
public:
    // Writes the manufacturer's files; starts nothing.
    RunningArchive();

    void start(const Arguments& more = {}, const Environment& environment = {});
    // Whether it came up; for starts that may be killed.
    bool try_start(const Arguments& more = {}, const Environment& environment = {});
    void kill();
    int stop(); // SIGTERM; the exit status
    bool running() { return process && process->running(); }
    pid_t pid() const { return process->pid(); }
    Finished command(const Arguments& arguments) const; // imprint-archive with this database
    void remove_database();

    Response get(const std::string& path, const Arguments& more = {}) const; // public
    Response get_known(const std::string& path, Client client) const; // over TLS
    // As a station (or whoever else), over TLS.
    Response put(const std::string& path, BytesView body, Client client, const Arguments& more = {},
                 const std::string& content_type = record_type) const;
    Response put(const SoftwareDevice& device, std::uint64_t sequence, BytesView record) const;
    // curl's arguments for a PUT whose body is in a file.
    Arguments put_command(const std::string& path, const std::filesystem::path& body, Client client,
                          const std::string& content_type = record_type) const;

    // The files of its certificate and key are this and ".pem" and ".key".
    std::filesystem::path write_client(const Certified& client) const;

    static std::string path_of(const std::string& chip);
    static std::string path_of(const std::string& chip, std::uint64_t sequence);

    TestPki pki;
    TemporaryDirectory directory;
    std::string url = directory / "archive.db"; // of the database
    std::string http, https; // host:port
    std::filesystem::path database() const { return directory / "archive.db"; }

private:
    Response curl(const Arguments& arguments) const;
    Arguments known(const std::string& path, Client client) const;
    std::optional<Process> process;
};

} // namespace imprint::test
