// SPDX-License-Identifier: Apache-2.0
// Inside daemon/pki only: SignedData (RFC 5652) as narrow as we make it. OpenSSL's own reader takes more (any version
// numbers, unsigned attributes, CRLs, a signature algorithm that it then ignores): room for a second encoding of the
// same record, and for things that nobody signed.
#pragma once

#include <openssl/asn1t.h>
#include <openssl/x509.h>

namespace imprint::pki {

struct EncapsulatedContent {
    ASN1_OBJECT* type;
    ASN1_OCTET_STRING* content;
};

struct SignerEntry {
    ASN1_INTEGER* version;
    ASN1_STRING* issuer_and_serial; // SEQUENCE
    X509_ALGOR* digest;
    STACK_OF(X509_ATTRIBUTE) * attributes;
    X509_ALGOR* algorithm;
    ASN1_OCTET_STRING* signature;
};
DEFINE_STACK_OF(SignerEntry)

struct SignedBody {
    ASN1_INTEGER* version;
    STACK_OF(X509_ALGOR) * digests;
    EncapsulatedContent* content;
    STACK_OF(X509) * certificates;
    STACK_OF(SignerEntry) * signers;
};

struct SignedMessage {
    ASN1_OBJECT* type;
    SignedBody* content;
};
DECLARE_ASN1_FUNCTIONS(SignedMessage)

} // namespace imprint::pki
