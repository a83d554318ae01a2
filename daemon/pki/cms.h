// SPDX-License-Identifier: Apache-2.0
// CMS (RFC 5652): signed data with one or two signers, authenticated enveloped data (RFC 5083). DER throughout.
#pragma once

#include "daemon/pki/certificate.h"
#include "daemon/pki/key.h"

namespace imprint::pki {

// SignedData with the content inside and one signer (SHA-256, signed attributes with signingTime); `certificates`
// are added for verifiers. The key may be a TPM's (daemon/tls/provider.h).
Bytes sign(BytesView content, const Certificate& signer, EVP_PKEY* key, const Certificates& certificates);
// The same with one more signer; the earlier ones stay byte for byte.
Bytes add_signer(BytesView signed_data, const Certificate& signer, EVP_PKEY* key, const Certificates& certificates);

struct SignedContent {
    Bytes content;
    Certificates signers; // one for each SignerInfo, in their order; each signature was checked against it
    std::vector<Time> signing_times; // each signer's signingTime attribute; a SignerInfo without one is refused
    Certificates certificates; // all that came along, untrusted
};
// Checks every signature (not the chains). At most `limit` bytes. Strict DER, no detached content.
Result<SignedContent> open_signed(BytesView signed_data, std::size_t limit);

// AuthEnvelopedData, AES-256-GCM with a 16-byte tag, one KEKRecipientInfo (AES-256 key wrap).
Bytes envelope(const Secret& content, const Secret& kek, BytesView key_identifier);
Result<Secret> open_envelope(BytesView enveloped, const Secret& kek, BytesView key_identifier, std::size_t limit);

} // namespace imprint::pki
