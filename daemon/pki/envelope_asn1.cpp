// SPDX-License-Identifier: Apache-2.0
#include "daemon/pki/envelope_asn1.h"

namespace imprint::pki {

ASN1_SEQUENCE(GcmParameters) =
    {
        ASN1_SIMPLE(GcmParameters, nonce, ASN1_OCTET_STRING),
        ASN1_SIMPLE(GcmParameters, tag_size, ASN1_INTEGER),
} ASN1_SEQUENCE_END(GcmParameters) IMPLEMENT_ASN1_FUNCTIONS(GcmParameters)

        ASN1_SEQUENCE(KekIdentifier) =
            {
                ASN1_SIMPLE(KekIdentifier, key_identifier, ASN1_OCTET_STRING),
} static_ASN1_SEQUENCE_END(KekIdentifier)

                ASN1_SEQUENCE(KekRecipient) =
                    {
                        ASN1_SIMPLE(KekRecipient, version, ASN1_INTEGER),
                        ASN1_SIMPLE(KekRecipient, identifier, KekIdentifier),
                        ASN1_SIMPLE(KekRecipient, algorithm, X509_ALGOR),
                        ASN1_SIMPLE(KekRecipient, encrypted_key, ASN1_OCTET_STRING),
} static_ASN1_SEQUENCE_END(KekRecipient)

                        ASN1_SEQUENCE(EncryptedContent) =
                            {
                                ASN1_SIMPLE(EncryptedContent, type, ASN1_OBJECT),
                                ASN1_SIMPLE(EncryptedContent, algorithm, X509_ALGOR),
                                ASN1_IMP(EncryptedContent, ciphertext, ASN1_OCTET_STRING, 0),
} static_ASN1_SEQUENCE_END(EncryptedContent)

                                ASN1_CHOICE(Recipient) =
                                    {
                                        ASN1_IMP(Recipient, d.kek, KekRecipient, 2),
} static_ASN1_CHOICE_END(Recipient)

                                        ASN1_SEQUENCE(AuthEnveloped) =
                                            {
                                                ASN1_SIMPLE(AuthEnveloped, version, ASN1_INTEGER),
                                                ASN1_SET_OF(AuthEnveloped, recipients, Recipient),
                                                ASN1_SIMPLE(AuthEnveloped, content, EncryptedContent),
                                                ASN1_SIMPLE(AuthEnveloped, tag, ASN1_OCTET_STRING),
} static_ASN1_SEQUENCE_END(AuthEnveloped)

                                                ASN1_SEQUENCE(EnvelopeMessage) = {
                                                    ASN1_SIMPLE(EnvelopeMessage, type, ASN1_OBJECT),
                                                    ASN1_EXP(EnvelopeMessage, content, AuthEnveloped, 0),
} ASN1_SEQUENCE_END(EnvelopeMessage) IMPLEMENT_ASN1_FUNCTIONS(EnvelopeMessage)

} // namespace imprint::pki
