// SPDX-License-Identifier: Apache-2.0
// CMS (RFC 5652): signed data with one or two signers, authenticated enveloped data (RFC 5083). DER throughout.
#pragma once

#include "daemon/pki/certificate.h"
#include "daemon/pki/key.h"

#include <openssl/types.h>

#include <optional>

namespace imprint::pki {

// How a signature is made. `context` is the library context of a provider's key, which cannot tell it itself;
// `time` becomes the signingTime, the clock's if there is none.
struct Signing {
    OSSL_LIB_CTX* context = nullptr;
    std::optional<Time> time = std::nullopt;
};

// SignedData with the content inside and one signer (ECDSA with SHA-256, signed attributes with signingTime);
// `certificates` are added for verifiers. The key may be a TPM's (daemon/tls/provider.h).
Bytes sign(BytesView content, const Certificate& signer, EVP_PKEY* key, const Certificates& certificates,
           Signing how = {});
// The same with one more signer; the earlier ones stay byte for byte. Nothing is verified here.
Bytes add_signer(BytesView signed_data, const Certificate& signer, EVP_PKEY* key, const Certificates& certificates,
                 Signing how = {});

struct SignedContent {
    Bytes content;
    Certificates signers; // one for each SignerInfo, in their order; each signature was checked against it
    std::vector<Time> signing_times; // each signer's signingTime attribute; a SignerInfo without one is refused
    Certificates certificates; // all that came along, untrusted
};
// Checks every signature (not the chains). At most `limit` bytes. Exactly the form of sign() and add_signer(): DER,
// content of type id-data inside, ECDSA with SHA-256, nothing unsigned beside a signature. Refusal(malformed_message |
// message_too_large | signature_invalid).
Result<SignedContent> open_signed(BytesView signed_data, std::size_t limit);

// AuthEnvelopedData, AES-256-GCM with a 16-byte tag, one KEKRecipientInfo (AES-256 key wrap).
Bytes envelope(const Secret& content, const Secret& kek, BytesView key_identifier);
// Exactly what envelope() makes, or Refusal(malformed_message | message_too_large); Refusal(package_invalid) if it was
// made for another key or key identifier, or was changed.
Result<Secret> open_envelope(BytesView enveloped, const Secret& kek, BytesView key_identifier, std::size_t limit);

} // namespace imprint::pki
