// SPDX-License-Identifier: Apache-2.0
// The station's second kind of address: mutual TLS, for operators' programs and for other stations. What is spoken, and
// who may speak it, is agreed on by ALPN. Includes Asio: for few translation units.
#pragma once

#include "provisioning/server/tls_stream.h"
#include "provisioning/station/station.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace imprint::station {

struct OperationsPeer {
    std::string address; // for logs
    pki::Certificate certificate; // chain, role and time are checked
};

// One protocol. `converse` is called after the handshake and keeps its own deadlines; what the network does to it may
// be thrown as boost::system::system_error. Nothing is left to do for it about the connection's end.
struct OperationsProtocol {
    std::string alpn;
    pki::Role client; // the role that the peer's certificate has
    std::function<boost::asio::awaitable<void>(server::TlsStream& stream, OperationsPeer peer)> converse;
};

class Operations {
public:
    // Told of handshakes that were refused; for the audit log.
    using Refused = std::function<boost::asio::awaitable<void>(Refusal why, std::string peer)>;

    // Shows the station's TLS certificate. The credentials are borrowed.
    Operations(const Credentials& credentials, std::chrono::seconds handshake_timeout,
               std::vector<OperationsProtocol> protocols, Refused refused);

    // Another trust than the credentials had, for connections that begin from now on.
    void use(const std::shared_ptr<const pki::Trust>& trust);

    // A whole connection: what a listener's handler is.
    boost::asio::awaitable<void> serve(server::Stream stream, std::string peer);

private:
    boost::asio::awaitable<void> dispatch(server::TlsStream& stream, std::string peer);

    const Credentials& credentials_;
    std::vector<OperationsProtocol> protocols_;
    std::chrono::seconds handshake_timeout_;
    Refused refused_;
    std::optional<boost::asio::ssl::context> context_; // another one with another trust
};

} // namespace imprint::station
