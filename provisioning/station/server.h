// SPDX-License-Identifier: Apache-2.0
// The station on the network: conversations over TLS 1.3, the CRL's file, the outbox.
#pragma once

#include "provisioning/server/service.h"
#include "provisioning/station/station.h"

#include <string>
#include <vector>

namespace imprint::station {

struct ServerSettings {
    std::filesystem::path state; // directory of the database and the CRL
    std::vector<std::string> listen; // "host:port", "unix:/path" or "serial:/dev/NAME,BAUD"
    std::vector<std::string> listen_exempt; // the same; nobody who comes there needs an introduction
    Required introductions = Required::never;
    bool stdio = false; // one conversation on standard input and output instead
    std::vector<std::string> listen_operations; // "host:port" or "unix:/path", for operators' programs, other stations
    std::string public_address; // where couriers send devices; empty: devices are configured
    std::size_t pool_low_water = 0; // a kind with fewer free pairs is warned of
    std::string archive; // "https://host:port"; empty: records wait until there is one
    std::size_t max_connections = 256; // for each address
    std::chrono::seconds handshake_timeout{10};
    std::chrono::seconds message_timeout{60}; // for each message of the device
};

std::filesystem::path database_path(const std::filesystem::path& state);
std::filesystem::path crl_path(const std::filesystem::path& state);

class Server {
public:
    // Opens the database, writes the CRL, listens, and announces "station" with every address. On standard input and
    // output: says nothing else there, and stops the service after the conversation.
    Server(server::Service& service, ServerSettings settings, Station station);
    ~Server();

    // Whom everything trusts that begins from now on, and the TPM vendors: each in its own time, but soon. In the loop.
    // Throws, and changes nothing, where this trust does not bear out the station's own certificates.
    void use(const std::shared_ptr<const pki::Trust>& trust, pki::Trust vendors);

    // Whether a device has got its receipt since the start.
    bool has_recorded() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace imprint::station
