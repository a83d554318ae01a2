// SPDX-License-Identifier: Apache-2.0
#include "daemon/pki/signed_form.h"

#include "daemon/pki/handles.h"
#include "daemon/pki/signed_asn1.h"

#include <openssl/err.h>
#include <openssl/evp.h>

namespace imprint::pki {

namespace {

using Algorithm = Owned<X509_ALGOR, X509_ALGOR_free>;
using Message = Owned<SignedMessage, SignedMessage_free>;

bool is(const ASN1_INTEGER* number, std::uint64_t value)
{
    std::uint64_t found = 0;
    return ASN1_INTEGER_get_uint64(&found, number) == 1 && found == value;
}

bool is_sha256(const X509_ALGOR* algorithm)
{
    const Algorithm sha256(X509_ALGOR_new());
    require(sha256 != nullptr, "cannot name an algorithm");
    X509_ALGOR_set_md(sha256.get(), EVP_sha256());
    return X509_ALGOR_cmp(algorithm, sha256.get()) == 0;
}

// OpenSSL verifies by the certificate's key and passes over what stands here.
bool is_signature_algorithm(const X509_ALGOR* algorithm)
{
    const ASN1_OBJECT* oid = nullptr;
    int parameters = V_ASN1_UNDEF;
    X509_ALGOR_get0(&oid, &parameters, nullptr, algorithm);
    return OBJ_obj2nid(oid) == NID_ecdsa_with_SHA256 && parameters == V_ASN1_UNDEF;
}

Message parse(BytesView der)
{
    const unsigned char* position = der.data();
    Message message(d2i_SignedMessage(nullptr, &position, static_cast<long>(der.size())));
    if (message && !equal(encode<i2d_SignedMessage>(message.get()), der))
        message.reset();
    return message;
}

Refusal refuse(Reason reason, const char* detail)
{
    ERR_clear_error();
    return {reason, detail};
}

} // namespace

Verdict check_signed_form(BytesView der)
{
    const auto message = parse(der);
    if (!message || OBJ_obj2nid(message->type) != NID_pkcs7_signed || !is(message->content->version, 1) ||
        OBJ_obj2nid(message->content->content->type) != NID_pkcs7_data)
        return refuse(Reason::malformed_message, "not signed data of the form that is used here");
    const auto& body = *message->content;
    if (sk_X509_ALGOR_num(body.digests) != 1 || !is_sha256(sk_X509_ALGOR_value(body.digests, 0)) ||
        sk_SignerEntry_num(body.signers) == 0)
        return refuse(Reason::signature_invalid, "signed data without a signature over SHA-256");
    for (int i = 0; i < sk_SignerEntry_num(body.signers); ++i) {
        const auto& signer = *sk_SignerEntry_value(body.signers, i);
        if (!is(signer.version, 1) || !is_sha256(signer.digest) || !is_signature_algorithm(signer.algorithm))
            return refuse(Reason::signature_invalid, "a signature that is not ECDSA with SHA-256");
    }
    return accepted();
}

} // namespace imprint::pki
