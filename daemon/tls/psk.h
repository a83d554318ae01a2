// SPDX-License-Identifier: Apache-2.0
// The offer of an external pre-shared key in a handshake.
#pragma once

#include "daemon/tls/stream.h"

namespace imprint::tls {

class PskOffer {
public:
    // For the handshake of `ssl`, which is offered no other cipher suite then. `psk` outlives the offer.
    PskOffer(const PreSharedKey& psk, SSL* ssl);
    PskOffer(const PskOffer&) = delete;
    PskOffer& operator=(const PskOffer&) = delete;
    ~PskOffer();

private:
    static int callback(SSL* ssl, const EVP_MD* digest, const unsigned char** identity, std::size_t* size,
                        SSL_SESSION** session);

    const PreSharedKey& psk_;
    SSL* ssl_;
};

} // namespace imprint::tls
