// SPDX-License-Identifier: Apache-2.0
#include "daemon/pki/cms.h"
#include "daemon/pki/handles.h"
#include "daemon/pki/signed_form.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/evp.h>

namespace imprint::pki {

namespace {

using Cms = Owned<CMS_ContentInfo, CMS_ContentInfo_free>;
using Signers = STACK_OF(CMS_SignerInfo);

constexpr unsigned signer_flags = CMS_BINARY | CMS_NOSMIMECAP | CMS_PARTIAL | CMS_NOCERTS;
constexpr int once = -3; // CMS_signed_get0_data_by_OBJ: one attribute with one value, or nothing

Refusal refuse(Reason reason, const std::string& detail)
{
    ERR_clear_error();
    return {reason, detail};
}

Cms parse(BytesView der, OSSL_LIB_CTX* context)
{
    CMS_ContentInfo* into = CMS_ContentInfo_new_ex(context, nullptr);
    require(into != nullptr, "cannot read a CMS message");
    const unsigned char* position = der.data();
    // On failure this frees `into` by itself.
    Cms cms(d2i_CMS_ContentInfo(&into, &position, static_cast<long>(der.size())));
    if (cms && !equal(encode<i2d_CMS_ContentInfo>(cms.get()), der))
        cms.reset();
    return cms;
}

void set_signing_time(CMS_SignerInfo* signer, Time time)
{
    const auto value = from_time(time);
    require(
        CMS_signed_add1_attr_by_NID(signer, NID_pkcs9_signingTime, ASN1_STRING_type(value.get()), value.get(), -1) == 1,
        "cannot set the time of a signature");
}

Certificates certificates_of(CMS_ContentInfo* cms)
{
    const OwningStack stack(CMS_get1_certs(cms));
    return shared(stack.get());
}

void add_certificates(CMS_ContentInfo* cms, const Certificates& certificates)
{
    for (const auto& certificate : certificates) {
        const auto present = certificates_of(cms);
        if (std::ranges::find(present, certificate) == present.end())
            require(CMS_add1_cert(cms, certificate.x509()) == 1, "cannot add a certificate");
    }
}

// The signer's certificate may be there already: as an issuer of an earlier signer's.
CMS_SignerInfo* add_info(CMS_ContentInfo* cms, const Certificate& signer, EVP_PKEY* key, const Signing& how,
                         unsigned flags)
{
    if (EVP_PKEY_is_a(key, "EC") != 1)
        throw Error(Reason::invalid_argument, "records are signed with keys of elliptic curves only");
    CMS_SignerInfo* info = CMS_add1_signer(cms, signer.x509(), key, EVP_sha256(), signer_flags | flags);
    if (info == nullptr)
        throw openssl_error(Reason::internal, "cannot add a signer");
    if (how.time)
        set_signing_time(info, *how.time);
    add_certificates(cms, {signer});
    return info;
}

bool signs_data(const CMS_SignerInfo* signer)
{
    const auto* type = static_cast<const ASN1_OBJECT*>(
        CMS_signed_get0_data_by_OBJ(signer, OBJ_nid2obj(NID_pkcs9_contentType), once, V_ASN1_OBJECT));
    return type != nullptr && OBJ_obj2nid(type) == NID_pkcs7_data;
}

// RFC 5652 §11.3: UTCTime up to 2049, GeneralizedTime from then on.
std::optional<Time> signing_time(const CMS_SignerInfo* signer)
{
    for (const int type : {V_ASN1_UTCTIME, V_ASN1_GENERALIZEDTIME}) {
        const auto* time = static_cast<const ASN1_TIME*>(
            CMS_signed_get0_data_by_OBJ(signer, OBJ_nid2obj(NID_pkcs9_signingTime), once, type));
        if (time != nullptr && ASN1_TIME_check(time) == 1)
            return to_time(time);
    }
    return std::nullopt;
}

bool has_attributes(CMS_ContentInfo* cms)
{
    const Signers* signers = CMS_get0_SignerInfos(cms);
    for (int i = 0; i < sk_CMS_SignerInfo_num(signers); ++i) {
        const auto* signer = sk_CMS_SignerInfo_value(signers, i);
        if (!signs_data(signer) || !signing_time(signer))
            return false;
    }
    return true;
}

// OpenSSL finds a signer's certificate without regard to the case of letters, and nothing signs the name.
bool names_exactly(CMS_SignerInfo* signer, X509* x509)
{
    X509_NAME* issuer = nullptr;
    return CMS_SignerInfo_get0_signer_id(signer, nullptr, &issuer, nullptr) == 1 && issuer != nullptr &&
        encode<i2d_X509_NAME>(issuer) == encode<i2d_X509_NAME>(X509_get_issuer_name(x509));
}

Result<SignedContent> content_of(CMS_ContentInfo* cms)
{
    SignedContent out;
    const auto content = view(*CMS_get0_content(cms));
    out.content.assign(content.begin(), content.end());
    out.certificates = certificates_of(cms);
    const Signers* signers = CMS_get0_SignerInfos(cms);
    for (int i = 0; i < sk_CMS_SignerInfo_num(signers); ++i) {
        auto* signer = sk_CMS_SignerInfo_value(signers, i);
        X509* x509 = nullptr;
        CMS_SignerInfo_get0_algs(signer, nullptr, &x509, nullptr, nullptr);
        out.signers.push_back(shared(x509));
        if (!names_exactly(signer, x509))
            return refuse(Reason::malformed_message, "a signer named otherwise than in its certificate");
        out.signing_times.push_back(*signing_time(signer));
    }
    return out;
}

} // namespace

Bytes sign(BytesView content, const Certificate& signer, EVP_PKEY* key, const Certificates& certificates, Signing how)
{
    ERR_clear_error();
    const Cms cms(CMS_sign_ex(nullptr, nullptr, nullptr, nullptr, CMS_BINARY | CMS_PARTIAL, how.context, nullptr));
    require(cms && CMS_set_detached(cms.get(), 0) == 1, "cannot make signed data");
    add_info(cms.get(), signer, key, how, 0);
    add_certificates(cms.get(), certificates);
    if (CMS_final(cms.get(), reader(content).get(), nullptr, CMS_BINARY) != 1)
        throw openssl_error(Reason::internal, "cannot sign");
    return encode<i2d_CMS_ContentInfo>(cms.get());
}

Bytes add_signer(BytesView signed_data, const Certificate& signer, EVP_PKEY* key, const Certificates& certificates,
                 Signing how)
{
    ERR_clear_error();
    const auto cms = parse(signed_data, how.context);
    if (!cms)
        throw openssl_error(Reason::malformed_message, "not signed data");
    auto* info = add_info(cms.get(), signer, key, how, CMS_REUSE_DIGEST);
    if (CMS_SignerInfo_sign(info) != 1)
        throw openssl_error(Reason::internal, "cannot sign");
    add_certificates(cms.get(), certificates);
    return encode<i2d_CMS_ContentInfo>(cms.get());
}

Result<SignedContent> open_signed(BytesView signed_data, std::size_t limit)
{
    if (signed_data.size() > limit)
        return refuse(Reason::message_too_large, "signed data larger than " + std::to_string(limit) + " bytes");
    if (auto verdict = check_signed_form(signed_data); !verdict)
        return verdict.refusal();
    const auto cms = parse(signed_data, nullptr);
    if (!cms || !has_attributes(cms.get()))
        return refuse(Reason::signature_invalid, "a signature without its attributes");
    const auto certificates = certificates_of(cms.get());
    if (!std::ranges::all_of(certificates, [](const auto& c) { return has_named_curve(c.x509()); }))
        return refuse(Reason::malformed_message, "a key whose elliptic curve has no name");
    if (CMS_verify(cms.get(), nullptr, nullptr, nullptr, nullptr, CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) != 1)
        return Refusal(openssl_error(Reason::signature_invalid, "a signature does not hold").refusal());
    return content_of(cms.get());
}

} // namespace imprint::pki
