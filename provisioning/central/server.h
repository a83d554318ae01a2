// SPDX-License-Identifier: Apache-2.0
// The central system on the network: TLS 1.3 with devices, then the key conversation, a backend, or an answer of its
// own.
#pragma once

#include "provisioning/central/credentials.h"
#include "provisioning/central/transaction_keys.h"
#include "provisioning/server/service.h"

#include <memory>
#include <string>
#include <vector>

namespace imprint::central {

struct ServerSettings {
    std::filesystem::path state; // directory of the database
    std::vector<std::string> listen; // "host:port" or "unix:/path"
    std::vector<std::filesystem::path> crls;
    std::string backend; // "host:port" or "unix:/path"; empty: we answer ourselves
    std::vector<std::string> alpn; // application protocols that are spoken there, the preferred one first
    std::string archive; // "http://host:port"; empty: only our own memory tells what is outdated
    bool archive_required = false; // a device of which the archive cannot be asked is refused
    std::filesystem::path central_set; // handed to devices as it is; empty: none
    KeyLifetimes lifetimes;
    std::size_t max_connections = 4096; // for each address; a quarter may be in the handshake
    std::chrono::seconds handshake_timeout{10}; // for connecting to the backend, too
    std::chrono::seconds message_timeout{60};
    std::chrono::seconds idle_timeout{3600};
};

std::filesystem::path database_path(const std::filesystem::path& state);

class Server {
public:
    // Opens the database, reads the lists, listens, and announces "central" with every address.
    Server(server::Service& service, ServerSettings settings, Credentials credentials, Secret storage_key);
    ~Server();

    // Takes load_bundle() in place of the one that is in use, soon; in the loop. Throws what that throws.
    void reload(const std::filesystem::path& directory);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace imprint::central
