// SPDX-License-Identifier: Apache-2.0
// TLS 1.3 contexts of the servers and of their clients. No early data, no tickets, no resumption.
#pragma once

#include "daemon/base/secret.h"
#include "daemon/pki/key.h"
#include "daemon/pki/verify.h"

#include <openssl/ssl.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace imprint::server {

using TlsContext = Owned<SSL_CTX, SSL_CTX_free>;

// What we show. Borrowed while the context is made.
struct TlsIdentity {
    const pki::Certificates& chain; // own certificate first
    EVP_PKEY* key;
};

// Whom we take: a chain to `trust` with `role`, or the other one (pki::verify, by the system's clock), and this name if
// it is not empty.
struct PeerPolicy {
    std::shared_ptr<const pki::Trust> trust;
    pki::Role role;
    std::string host; // a DNS name or an IP address
    std::optional<pki::Role> other_role = {};
};

// The external PSK (RFC 8446, clause 4.2.11) of 32 bytes that an identity stands for; nothing: the handshake goes on
// with certificates. Asked in the middle of a handshake, for few identities of each.
using PskFinder = std::function<std::optional<Secret>(BytesView identity)>;

// What a server takes besides.
struct Besides {
    bool other_protocols = false; // than `alpn`, or none: then none is agreed on
    PskFinder psk; // instead of a client's certificate, with TLS_AES_256_GCM_SHA384
};

// `clients`: certificates are required and checked; nothing: none is asked for. `alpn`: the application protocols that
// are offered or taken, in the order of preference; none: nobody is asked.
// Throw Error(not_configured) if certificate and key do not fit together.
TlsContext server_context(const TlsIdentity& identity, std::optional<PeerPolicy> clients,
                          const std::vector<std::string>& alpn, Besides besides = {});
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
// The peer's certificate and its issuers up to the anchor, as they were verified; empty where it showed none.
pki::Certificates verified_chain(SSL* ssl);
// The application protocol that was agreed on; empty where the peer offered none at all.
std::string negotiated(SSL* ssl);
// The identity of the PSK by which the peer was authenticated; nothing where it was by a certificate.
std::optional<Bytes> psk_identity(SSL* ssl);
// Why the peer's certificate was refused, also after a failed handshake.
std::optional<Refusal> peer_refusal(SSL* ssl);

} // namespace imprint::server
