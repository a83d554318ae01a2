// SPDX-License-Identifier: Apache-2.0
// The archive on the network: a public listener over plain HTTP and the stations' listener over mutual TLS.
#pragma once

#include "backup/archive/ingest.h"
#include "backup/archive/rate_limit.h"
#include "provisioning/server/service.h"
#include "provisioning/server/tls.h"

#include <memory>

namespace imprint::archive {

struct HttpSettings {
    std::string database; // URL, for open_store()
    std::vector<std::string> public_addresses; // provisioning/server/listener.h says what they look like
    std::vector<std::string> station_addresses;
    std::size_t max_connections = 512; // for each address
    std::size_t max_per_client = 64; // of them
    std::chrono::seconds deadline{20}; // for a handshake, a whole request, an answer, a pause between requests
    Rates rates; // of the public
};

// Listens from its construction on and announces each address ("listening http ..." or "listening https ..."); serves
// while service.run() runs. The database has three connections, none of which waits for another: one for what the
// public reads, one for what stations look up before they write, and one that commits. With one for all reads a flood
// of the public would stand between a station and its receipt; with the writer's for the lookups, every commit would.
class HttpServer {
public:
    HttpServer(server::Service& service, HttpSettings settings, std::shared_ptr<const pki::Trust> trust, Signer signer);
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    // Whom connections trust that begin from now on, and records that come; in the loop. What goes on is left alone.
    void use(std::shared_ptr<const pki::Trust> trust);

private:
    struct Impl;
    std::shared_ptr<Impl> impl_; // connections hold it too
};

} // namespace imprint::archive
