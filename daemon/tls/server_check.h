// SPDX-License-Identifier: Apache-2.0
// Whether the server is the one that was meant. Runs inside the handshake, before our own certificate or any data is
// sent; what it finds against the server comes out of the failed handshake as its reason.
#pragma once

#include "daemon/tls/stream.h"

namespace imprint::tls {

class ServerCheck {
public:
    // Makes every server of this context fail that no check stands for.
    static void prepare(SSL_CTX* context);
    // For the handshake of `ssl`; `settings` outlives the check.
    ServerCheck(const ClientSettings& settings, SSL* ssl);
    ServerCheck(const ServerCheck&) = delete;
    ServerCheck& operator=(const ServerCheck&) = delete;
    ~ServerCheck();

    bool passed() const noexcept { return passed_; }
    // The handshake is over, and the server has shown that it knows the PSK. Throws Error(unsupported_version).
    void pass_by_psk();

private:
    static int callback(X509_STORE_CTX* store, void*);
    Verdict judge(const X509_STORE_CTX* store) const;

    const ClientSettings& settings_;
    SSL* ssl_;
    bool passed_ = false;
};

} // namespace imprint::tls
