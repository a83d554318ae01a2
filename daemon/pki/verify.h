// SPDX-License-Identifier: Apache-2.0
// Chains up to pinned anchors, with role, time and revocation.
#pragma once

#include "daemon/pki/certificate.h"
#include "daemon/pki/profile.h"

namespace imprint::pki {

// What a party trusts: on the device the read-only bundle (trust.pem: checking CA first, then identity CAs).
struct Trust {
    Certificates anchors; // self-signed roots
    Certificates intermediates; // known in advance, e.g. identity CAs
    std::vector<Crl> crls; // a CRL is applied to the certificates of its issuer, if there is one
};

// Reads a PEM bundle: self-signed certificates become anchors, the others intermediates; CRLs go along.
// Error(not_configured) if there is no anchor, Error(untrusted_certificate) if a block is broken.
Trust trust_from_pem(BytesView pem);

// SHA-256 over the DER of the first anchor's SubjectPublicKeyInfo: what the TPM's anchor index remembers.
Bytes anchor_digest(const Trust& trust);
// That digest, and behind it those of the checking keys before it, as far back as the bundle proves them: by a link
// certificate for the newer key, signed by the older one, whose root is an anchor, too.
std::vector<Bytes> anchor_history(const Trust& trust);

// The chain from `leaf` to an anchor (leaf first), or the reason against it: untrusted_certificate, wrong_role,
// certificate_expired, certificate_not_yet_valid, certificate_revoked, identity_out_of_scope (scope.h). Named curves
// only, at most 8 certificates. Identity certificates have no end of validity and are not held against the clock's
// lower end (first boots at 1970).
Result<Certificates> verify(const Certificate& leaf, const Certificates& untrusted, const Trust& trust, Role role,
                            Time now);

// Whether the key of `signer` signed the certificate, whatever the two are. Named curves, no SHA-1.
bool signed_by(const Certificate& certificate, const Certificate& signer);

// OpenSSL's error (X509_V_ERR_...) for a TLS peer that is refused with this reason: it decides the alert.
int verify_error(Reason reason);

// An EK certificate against the TPM vendors' CAs (anchors, self-signed or not) and what lists of theirs are at hand:
// EKU 2.23.133.8.1 if it has EKUs at all; no clock (they outlive it). Refusal(untrusted_endorsement_key).
Verdict verify_ek(const Certificate& leaf, const Certificates& untrusted, const Trust& vendors);

} // namespace imprint::pki
