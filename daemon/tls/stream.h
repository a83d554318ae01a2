// SPDX-License-Identifier: Apache-2.0
// TLS 1.3 over any descriptor, with a deadline for everything and a way to cancel. Blocking; for a thread of its own.
#pragma once

#include "daemon/base/file.h"
#include "daemon/pki/verify.h"
#include "daemon/tls/provider.h"

#include <openssl/ssl.h>

#include <chrono>
#include <optional>
#include <string>

namespace imprint::tls {

// Ends waits early: any thread may cancel. Checked by every wait.
class Cancel {
public:
    Cancel();
    void cancel() noexcept;
    bool cancelled() const noexcept;
    int fd() const noexcept; // readable once cancelled
private:
    Fd event_;
};

using Deadline = std::chrono::steady_clock::time_point;

// Connects to "host:port", "[v6]:port" or "unix:/path" (default port where none is given); every address of the host
// is tried in turn. Error(connection_refused | timed_out | cancelled | invalid_argument). A serial line
// ("serial:/dev/ttyS1,9600") is opened only; Error(not_configured | busy).
Fd connect(const std::string& address, std::uint16_t default_port, Deadline deadline, const Cancel& cancel);
// The name to check in the peer's certificate: host of the address; empty for a Unix socket or a serial line.
std::string host_of(const std::string& address);

// Throws away what a former conversation left in a terminal line: returns when nothing has arrived for a while (longer
// than the station takes to find its line quiet). Error(connection_lost) where the line hung up, Error(timed_out) where
// it never falls silent.
void drain(int line, Deadline deadline, const Cancel& cancel);

struct ClientIdentity {
    pki::Certificates chain; // own certificate first
    pki::Key key; // may be a Provider's key
};

// An external pre-shared key of TLS 1.3 (RFC 8446, clause 4.2.11): 32 bytes of a hash that is the cipher suite's.
struct PreSharedKey {
    Bytes identity;
    Secret secret;
};

struct ClientSettings {
    const pki::Trust& trust;
    pki::Role server_role;
    std::string server_name; // empty: role and chain only
    std::string alpn; // "imprint/1"; empty: none
    std::optional<ClientIdentity> identity;
    // SHA-256 over the SubjectPublicKeyInfo of those who may be the server; not given: whoever the chain is good for.
    std::optional<std::vector<Bytes>> server_keys{};
    // Offered for the suite TLS_AES_256_GCM_SHA384 alone. A server that does not take it goes on with certificates.
    std::optional<PreSharedKey> psk{};
    // A server that has not sent anything at all by then is given up, before the handshake's own deadline.
    Deadline first_answer = Deadline::max();
    // At which the server's certificate has to be valid.
    pki::Time now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
};

// What connections with the same `identity` share, instead of each having its own.
using SharedContext = std::shared_ptr<SSL_CTX>;
SharedContext shared_context(const std::optional<ClientIdentity>& identity);

// What is left of a Stream for those who do not wait: with a descriptor that is nonblocking to OpenSSL, too.
struct Established {
    Fd fd;
    Owned<SSL, SSL_free> ssl; // uses `fd`
};

class Link;

// Nothing here raises SIGPIPE. What a Signer or pki::verify says comes out with its own reason.
class Stream {
public:
    // Handshakes as a client: TLS 1.3 only, no early data, no resumption; ALPN, chain, role and name of the server are
    // checked before any of our own credentials goes out. Sets `fd` nonblocking; `cancel` outlives the stream.
    // Error(untrusted_certificate | wrong_role | wrong_name | certificate_* | key_mismatch | unsupported_version |
    // signature_invalid | malformed_message | timed_out | cancelled | connection_lost | central_key_unknown, or what a
    // Signer throws).
    Stream(Fd fd, ClientSettings settings, Deadline deadline, const Cancel& cancel);
    // `settings` without an identity: that is in `shared`.
    Stream(Fd fd, const ClientSettings& settings, const SharedContext& shared, Deadline deadline, const Cancel& cancel);
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    // RFC 9266 "EXPORTER-Channel-Binding", 32 bytes.
    Bytes channel_binding() const;
    bool used_psk() const; // and therefore no certificate
    pki::Certificate peer() const; // where there was no PSK

    // A server that refuses our certificate says so only now, or at the first read: untrusted_certificate,
    // not_authorized and the like. After any Error the stream is of no more use.
    void write(BytesView data, Deadline deadline);
    // Exactly `size` bytes; Error(connection_lost) at an early end.
    Bytes read(std::size_t size, Deadline deadline);
    void close() noexcept; // close_notify, best effort: waits for 0.1 s at most
    // Ends the stream, not the connection.
    Established release() &&;

private:
    std::unique_ptr<Link> link_;
    Owned<SSL, SSL_free> ssl_;
};

} // namespace imprint::tls
