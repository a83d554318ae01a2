// SPDX-License-Identifier: Apache-2.0
#include "daemon/pki/signed_asn1.h"

namespace imprint::pki {

ASN1_SEQUENCE(EncapsulatedContent) =
    {
        ASN1_SIMPLE(EncapsulatedContent, type, ASN1_OBJECT),
        ASN1_EXP(EncapsulatedContent, content, ASN1_OCTET_STRING, 0),
} static_ASN1_SEQUENCE_END(EncapsulatedContent)

        ASN1_SEQUENCE(SignerEntry) =
            {
                ASN1_SIMPLE(SignerEntry, version, ASN1_INTEGER),
                ASN1_SIMPLE(SignerEntry, issuer_and_serial, ASN1_SEQUENCE),
                ASN1_SIMPLE(SignerEntry, digest, X509_ALGOR),
                ASN1_IMP_SET_OF(SignerEntry, attributes, X509_ATTRIBUTE, 0),
                ASN1_SIMPLE(SignerEntry, algorithm, X509_ALGOR),
                ASN1_SIMPLE(SignerEntry, signature, ASN1_OCTET_STRING),
} static_ASN1_SEQUENCE_END(SignerEntry)

                ASN1_SEQUENCE(SignedBody) =
                    {
                        ASN1_SIMPLE(SignedBody, version, ASN1_INTEGER),
                        ASN1_SET_OF(SignedBody, digests, X509_ALGOR),
                        ASN1_SIMPLE(SignedBody, content, EncapsulatedContent),
                        ASN1_IMP_SET_OF(SignedBody, certificates, X509, 0),
                        ASN1_SET_OF(SignedBody, signers, SignerEntry),
} static_ASN1_SEQUENCE_END(SignedBody)

                        ASN1_SEQUENCE(SignedMessage) = {
                            ASN1_SIMPLE(SignedMessage, type, ASN1_OBJECT),
                            ASN1_EXP(SignedMessage, content, SignedBody, 0),
} ASN1_SEQUENCE_END(SignedMessage) IMPLEMENT_ASN1_FUNCTIONS(SignedMessage)

} // namespace imprint::pki
