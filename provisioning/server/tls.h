// SPDX-License-Identifier: Apache-2.0
// TLS 1.3 contexts of the servers and of their clients. No early data, no tickets, no resumption.
#pragma once

#include "daemon/pki/key.h"
#include "daemon/pki/verify.h"

#include <openssl/ssl.h>

#include <map>
#include <memory>
#include <optional>
#include <string>

namespace imprint::server {

using TlsContext = Owned<SSL_CTX, SSL_CTX_free>;

// What we show. Borrowed while the context is made.
struct TlsIdentity {
    const pki::Certificates& chain; // own certificate first
    EVP_PKEY* key;
};

// Whom we take: a chain to `trust` with `role` (pki::verify, by the system's clock), and this name if it is not empty.
struct PeerPolicy {
    std::shared_ptr<const pki::Trust> trust;
    pki::Role role;
    std::string host; // a DNS name or an IP address
};

// `clients`: certificates are required and checked; nothing: none is asked for. `alpn`: the application protocols that
// are offered or taken, in the order of preference; none: nobody is asked.
// Throw Error(not_configured) if certificate and key do not fit together.
TlsContext server_context(const TlsIdentity& identity, std::optional<PeerPolicy> clients,
                          const std::vector<std::string>& alpn);
// A server of several application protocols, each for clients of one role: certificates are required, and checked for
// the role of the protocol that was agreed on. Who offers none of the protocols is refused.
using RoleOfProtocol = std::map<std::string, pki::Role>;
TlsContext server_context(const TlsIdentity& identity, std::shared_ptr<const pki::Trust> trust,
                          const RoleOfProtocol& protocols);
TlsContext client_context(const TlsIdentity& identity, PeerPolicy server, const std::vector<std::string>& alpn);

// --- of a connection after its handshake
// RFC 9266 "EXPORTER-Channel-Binding", 32 bytes. Throws Error(internal).
Bytes channel_binding(SSL* ssl);
std::optional<pki::Certificate> peer_certificate(SSL* ssl);
// The application protocol that was agreed on; empty where the peer offered none at all.
std::string negotiated(SSL* ssl);
// Why the peer's certificate was refused, also after a failed handshake.
std::optional<Refusal> peer_refusal(SSL* ssl);

} // namespace imprint::server
