// SPDX-License-Identifier: Apache-2.0
// Whether the server is the one that was meant. Runs inside the handshake, before our own certificate or any data is
// sent; what it finds against the server comes out of the failed handshake as its reason.
#pragma once

#include "daemon/tls/stream.h"

namespace imprint::tls {

class ServerCheck {
public:
    // For the handshake of `ssl`, the only one of its context. After the check's life no server passes any more.
    // `settings` outlives the check.
    ServerCheck(const ClientSettings& settings, SSL* ssl);
    ServerCheck(const ServerCheck&) = delete;
    ServerCheck& operator=(const ServerCheck&) = delete;
    ~ServerCheck();

    bool passed() const noexcept { return passed_; }

private:
    static int callback(X509_STORE_CTX* store, void* argument);
    Verdict judge(const X509_STORE_CTX* store) const;

    const ClientSettings& settings_;
    SSL* ssl_;
    bool passed_ = false;
};

} // namespace imprint::tls
