// SPDX-License-Identifier: Apache-2.0
// An OpenSSL provider inside this process whose EC P-256 keys sign somewhere else: in the TPM, by way of its worker.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/pki/key.h"

#include <openssl/provider.h>

#include <functional>
#include <memory>

namespace imprint::tls {

// Signs a whole message (at most 64 KiB): DER ECDSA-Sig-Value over its SHA-256. Called on the thread that signs.
// What it throws ends the OpenSSL operation and travels through OpenSSL's error queue: openssl_error(), which
// pki::sign(), tls::Stream and every other caller in Imprint uses, gives it back with reason and detail.
using Signer = std::function<Bytes(BytesView message)>;

// A library context of its own with the default provider and ours. Outlives its keys and whatever holds them.
class Provider {
public:
    Provider();
    ~Provider();
    Provider(const Provider&) = delete;
    Provider& operator=(const Provider&) = delete;

    OSSL_LIB_CTX* context() const;
    // A private key that can sign with SHA-256 and tell its public half; nothing else (to verify, parse `spki`).
    // `signer` lives in the key. Error(invalid_argument) if `spki` is no P-256 key in its one canonical encoding.
    pki::Key key(BytesView spki, Signer signer) const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace imprint::tls
