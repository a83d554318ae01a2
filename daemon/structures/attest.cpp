// SPDX-License-Identifier: Apache-2.0
#include "daemon/structures/attest.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/public_key.h"
#include "daemon/structures/templates.h"

#include <openssl/ec.h>
#include <openssl/err.h>

namespace imprint::structures {
namespace {

constexpr std::size_t coordinate_size = 32; // P-256

using Number = Owned<BIGNUM, BN_free>;
using Signature = Owned<ECDSA_SIG, ECDSA_SIG_free>;
using MdCtx = Owned<EVP_MD_CTX, EVP_MD_CTX_free>;

Refusal invalid(const std::string& detail) { return {Reason::attestation_invalid, "attestation: " + detail}; }

Refusal not_signed(const std::string& detail)
{
    ERR_clear_error();
    return {Reason::signature_invalid, detail};
}

// An expected value that could not be computed (an empty one) matches nothing.
bool same(BytesView found, BytesView expected) { return !expected.empty() && equal(found, expected); }

Result<TPMS_ATTEST> check(const Attestation& attestation, const Expectation& expected, TPMI_ST_ATTEST type)
{
    // An unrestricted key signs whatever it is given, also what looks like an attestation.
    if (!is_identity_key(expected.signer))
        return invalid("the signer is not an identity key");
    const Verdict signature = check_signature(expected.signer, attestation.attest, attestation.signature);
    if (!signature)
        return invalid(signature.refusal().detail);
    Result<TPMS_ATTEST> attest = unmarshal<TPMS_ATTEST>(attestation.attest);
    if (!attest)
        return invalid(attest.refusal().detail);
    if (attest->magic != TPM2_GENERATED_VALUE)
        return invalid("it was not made by a TPM");
    if (attest->type != type)
        return invalid("it is of another type");
    if (!same(view(attest->extraData), expected.qualifying_data))
        return invalid("it was made for another conversation");
    if (!same(view(attest->qualifiedSigner), expected.signer_qualified_name))
        return invalid("the signer is in another hierarchy");
    return attest;
}

} // namespace

Result<TPMS_ATTEST> check_creation(const Attestation& attestation, const Expectation& expected, BytesView object_name,
                                   BytesView creation_hash)
{
    Result<TPMS_ATTEST> attest = check(attestation, expected, TPM2_ST_ATTEST_CREATION);
    if (!attest)
        return attest;
    const TPMS_CREATION_INFO& info = attest->attested.creation;
    if (!same(view(info.objectName), object_name))
        return invalid("it speaks of another object");
    if (!same(view(info.creationHash), creation_hash))
        return invalid("it speaks of other creation data");
    return attest;
}

Result<TPMS_ATTEST> check_certify(const Attestation& attestation, const Expectation& expected, BytesView object_name,
                                  BytesView object_qualified_name)
{
    Result<TPMS_ATTEST> attest = check(attestation, expected, TPM2_ST_ATTEST_CERTIFY);
    if (!attest)
        return attest;
    const TPMS_CERTIFY_INFO& info = attest->attested.certify;
    if (!same(view(info.name), object_name))
        return invalid("it speaks of another object");
    if (!same(view(info.qualifiedName), object_qualified_name))
        return invalid("the object is in another hierarchy or under another parent");
    return attest;
}

Result<std::uint64_t> check_nv_certify(const Attestation& attestation, const Expectation& expected,
                                       BytesView index_name)
{
    const Result<TPMS_ATTEST> attest = check(attestation, expected, TPM2_ST_ATTEST_NV);
    if (!attest)
        return attest.refusal();
    const TPMS_NV_CERTIFY_INFO& info = attest->attested.nv;
    if (!same(view(info.indexName), index_name))
        return invalid("it speaks of another index");
    if (info.offset != 0 || info.nvContents.size != sizeof(std::uint64_t))
        return invalid("it does not hold the whole counter");
    std::uint64_t value = 0;
    for (const std::uint8_t byte : view(info.nvContents))
        value = value << 8 | byte;
    return value;
}

Bytes der_signature(BytesView r, BytesView s)
{
    Number r_number(BN_bin2bn(r.data(), static_cast<int>(r.size()), nullptr));
    Number s_number(BN_bin2bn(s.data(), static_cast<int>(s.size()), nullptr));
    const Signature pair(ECDSA_SIG_new());
    if (!r_number || !s_number || !pair || ECDSA_SIG_set0(pair.get(), r_number.get(), s_number.get()) != 1)
        throw openssl_error(Reason::internal, "cannot set up a signature");
    static_cast<void>(r_number.release()); // pair owns them now
    static_cast<void>(s_number.release());
    Bytes out(static_cast<std::size_t>(i2d_ECDSA_SIG(pair.get(), nullptr)));
    unsigned char* end = out.data();
    i2d_ECDSA_SIG(pair.get(), &end);
    return out;
}

Result<Bytes> to_der_signature(BytesView signature)
{
    const Result<TPMT_SIGNATURE> parsed = unmarshal<TPMT_SIGNATURE>(signature);
    if (!parsed || parsed->sigAlg != TPM2_ALG_ECDSA || parsed->signature.ecdsa.hash != TPM2_ALG_SHA256)
        return not_signed("not an ECDSA signature over SHA-256");
    const BytesView r = view(parsed->signature.ecdsa.signatureR);
    const BytesView s = view(parsed->signature.ecdsa.signatureS);
    if (r.size() > coordinate_size || s.size() > coordinate_size)
        return not_signed("a signature is too long for P-256");
    return der_signature(r, s);
}

Verdict check_signature(const TPMT_PUBLIC& signer, BytesView message, BytesView signature)
{
    if (signer.type != TPM2_ALG_ECC || signer.parameters.eccDetail.curveID != TPM2_ECC_NIST_P256)
        return not_signed("the signer is not a P-256 key");
    const Result<Pkey> key = to_pkey(signer);
    const Result<Bytes> der = to_der_signature(signature);
    if (!key || !der)
        return key ? der.refusal() : not_signed(key.refusal().detail);
    const MdCtx ctx(EVP_MD_CTX_new());
    if (!ctx || EVP_DigestVerifyInit(ctx.get(), nullptr, EVP_sha256(), nullptr, key->get()) != 1)
        throw openssl_error(Reason::internal, "cannot verify a signature");
    if (EVP_DigestVerify(ctx.get(), der->data(), der->size(), message.data(), message.size()) != 1)
        return not_signed("the signature is wrong");
    return accepted();
}

} // namespace imprint::structures
