// SPDX-License-Identifier: Apache-2.0
// Inside daemon/pki only: AuthEnvelopedData (RFC 5083) as narrow as we make it. OpenSSL's own reader takes more (tags
// of 4 bytes, several recipients, attributes) and shows less.
#pragma once

#include <openssl/asn1t.h>
#include <openssl/x509.h>

namespace imprint::pki {

// GCMParameters ::= SEQUENCE { nonce OCTET STRING, icvlen INTEGER } (RFC 5084; the default of 12 is not ours)
struct GcmParameters {
    ASN1_OCTET_STRING* nonce;
    ASN1_INTEGER* tag_size;
};
DECLARE_ASN1_FUNCTIONS(GcmParameters)

// KEKIdentifier without date and other attributes.
struct KekIdentifier {
    ASN1_OCTET_STRING* key_identifier;
};

struct KekRecipient {
    ASN1_INTEGER* version;
    KekIdentifier* identifier;
    X509_ALGOR* algorithm;
    ASN1_OCTET_STRING* encrypted_key;
};

struct EncryptedContent {
    ASN1_OBJECT* type;
    X509_ALGOR* algorithm;
    ASN1_OCTET_STRING* ciphertext;
};

// RecipientInfo is a CHOICE by tag; we know the tag [2] only.
struct Recipient {
    int type;
    union {
        KekRecipient* kek;
    } d;
};
DEFINE_STACK_OF(Recipient)

struct AuthEnveloped {
    ASN1_INTEGER* version;
    STACK_OF(Recipient) * recipients;
    EncryptedContent* content;
    ASN1_OCTET_STRING* tag;
};

struct EnvelopeMessage {
    ASN1_OBJECT* type;
    AuthEnveloped* content;
};
DECLARE_ASN1_FUNCTIONS(EnvelopeMessage)

} // namespace imprint::pki
