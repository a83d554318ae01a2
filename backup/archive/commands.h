// SPDX-License-Identifier: Apache-2.0
// The subcommands of imprint-archive. Each returns the exit status and throws Error.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace imprint::archive {

inline constexpr int exit_usage = 2; // of the command line or the configuration
inline constexpr int exit_faulty = 3; // verify, mirror: something does not prove itself

struct ServeOptions {
    std::string database; // URL, for open_store()
    std::filesystem::path trust;
    std::vector<std::filesystem::path> crls;
    std::filesystem::path certificate; // PEM, own certificate first
    std::string key; // OSSL_STORE URI
    std::string passphrase; // pki::read_passphrase's source; empty: none
    std::vector<std::string> listen;
    std::vector<std::string> listen_tls;
    std::size_t max_connections = 512;
    std::size_t max_per_client = 64;
    unsigned rate = 2000; // requests of the public a second, 0: any
    unsigned rate_per_client = 50;
    unsigned deadline = 20; // seconds
};
int serve(const ServeOptions& options);

struct CheckOptions {
    std::string database; // URL, for open_store()
    std::filesystem::path trust;
    std::string target; // of mirror: a directory or a database's URL; of verify: a mirror's directory, if not empty
    std::string from; // of mirror: another archive's https:// URL, or empty: the database
    std::filesystem::path certificate; // of a mirror, for it
    std::string key; // OSSL_STORE URI
    std::string passphrase; // pki::read_passphrase's source; empty: none
    unsigned jobs = 1;
    bool dry_run = false;
    bool json = false;
};
// Checks every record, receipt and owner of the database or of a mirror's directory, without the server.
int verify(const CheckOptions& options);
// Copies what the target does not have yet.
int mirror(const CheckOptions& options);

// What is stored for one chip.
int show(const std::string& database, const std::string& chip_identifier, bool json);

} // namespace imprint::archive
