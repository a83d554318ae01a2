// SPDX-License-Identifier: Apache-2.0
#include "daemon/pki/cms.h"
#include "daemon/pki/envelope_asn1.h"
#include "daemon/pki/handles.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/evp.h>

namespace imprint::pki {

namespace {

constexpr std::size_t kek_size = 32;
constexpr int nonce_size = 12;
constexpr int tag_size = 16;

using Cms = Owned<CMS_ContentInfo, CMS_ContentInfo_free>;
using Message = Owned<EnvelopeMessage, EnvelopeMessage_free>;

Refusal refuse(Reason reason, const std::string& detail)
{
    ERR_clear_error();
    return {reason, detail};
}

void check_kek(const Secret& kek)
{
    if (kek.size() != kek_size)
        throw Error(Reason::invalid_argument, "a key of 32 bytes is needed to wrap with");
}

// A copy for OpenSSL, which takes such buffers over.
unsigned char* copy(BytesView bytes)
{
    auto* out = static_cast<unsigned char*>(OPENSSL_memdup(bytes.data(), bytes.size()));
    require(out != nullptr, "out of memory");
    return out;
}

void add_recipient(CMS_ContentInfo* cms, const Secret& kek, BytesView key_identifier)
{
    unsigned char* key = copy(kek.view());
    unsigned char* identifier = copy(key_identifier);
    if (CMS_add0_recipient_key(cms, NID_undef, key, kek.size(), identifier, key_identifier.size(), nullptr, nullptr,
                               nullptr) != nullptr)
        return;
    OPENSSL_clear_free(key, kek.size());
    OPENSSL_free(identifier);
    throw openssl_error(Reason::internal, "cannot wrap a content key");
}

bool is(const ASN1_OBJECT* oid, int nid) { return OBJ_obj2nid(oid) == nid; }

bool is(const ASN1_INTEGER* number, std::uint64_t value)
{
    std::uint64_t found = 0;
    return ASN1_INTEGER_get_uint64(&found, number) == 1 && found == value;
}

bool is_gcm(const X509_ALGOR* algorithm)
{
    const ASN1_OBJECT* oid = nullptr;
    const void* value = nullptr;
    int type = V_ASN1_UNDEF;
    X509_ALGOR_get0(&oid, &type, &value, algorithm);
    if (!is(oid, NID_aes_256_gcm) || type != V_ASN1_SEQUENCE)
        return false;
    const auto der = view(static_cast<const ASN1_STRING*>(value));
    const unsigned char* position = der.data();
    const Owned<GcmParameters, GcmParameters_free> parameters(
        d2i_GcmParameters(nullptr, &position, static_cast<long>(der.size())));
    return parameters && position == der.data() + der.size() && ASN1_STRING_length(parameters->nonce) == nonce_size &&
        is(parameters->tag_size, tag_size);
}

bool is_key_wrap(const X509_ALGOR* algorithm)
{
    const ASN1_OBJECT* oid = nullptr;
    int type = V_ASN1_UNDEF;
    X509_ALGOR_get0(&oid, &type, nullptr, algorithm);
    return is(oid, NID_id_aes256_wrap) && type == V_ASN1_UNDEF;
}

Message parse(BytesView der)
{
    const unsigned char* position = der.data();
    Message message(d2i_EnvelopeMessage(nullptr, &position, static_cast<long>(der.size())));
    if (message && !equal(encode<i2d_EnvelopeMessage>(message.get()), der))
        message.reset();
    return message;
}

// Everything that is not secret is as envelope() makes it.
bool is_ours(const EnvelopeMessage& message)
{
    const auto& body = *message.content;
    if (!is(message.type, NID_id_smime_ct_authEnvelopedData) || !is(body.version, 0) ||
        sk_Recipient_num(body.recipients) != 1)
        return false;
    const auto& recipient = *sk_Recipient_value(body.recipients, 0)->d.kek;
    return is(recipient.version, 4) && is_key_wrap(recipient.algorithm) && is(body.content->type, NID_pkcs7_data) &&
        is_gcm(body.content->algorithm) && ASN1_STRING_length(body.tag) == tag_size;
}

Result<Secret> decrypt(BytesView enveloped, const Secret& kek, BytesView key_identifier)
{
    const unsigned char* position = enveloped.data();
    const Cms cms(d2i_CMS_ContentInfo(nullptr, &position, static_cast<long>(enveloped.size())));
    if (!cms)
        return refuse(Reason::malformed_message, "not an envelope");
    auto key = kek.clone();
    const Bytes identifier(key_identifier.begin(), key_identifier.end());
    const auto content = writer();
    // A wrong key leaves no word in OpenSSL's queue of errors.
    if (CMS_decrypt_set1_key(cms.get(), key.data(), key.size(), identifier.data(), identifier.size()) != 1 ||
        CMS_decrypt(cms.get(), nullptr, nullptr, nullptr, content.get(), CMS_BINARY) != 1)
        return refuse(Reason::package_invalid, "the envelope was made with another key, or was changed");
    return Secret(written(content.get()));
}

} // namespace

Bytes envelope(const Secret& content, const Secret& kek, BytesView key_identifier)
{
    ERR_clear_error();
    check_kek(kek);
    const Cms cms(CMS_AuthEnvelopedData_create(EVP_aes_256_gcm()));
    require(cms && CMS_set_detached(cms.get(), 0) == 1, "cannot make an envelope");
    add_recipient(cms.get(), kek, key_identifier);
    if (CMS_final(cms.get(), reader(content.view()).get(), nullptr, CMS_BINARY) != 1)
        throw openssl_error(Reason::internal, "cannot encrypt");
    return encode<i2d_CMS_ContentInfo>(cms.get());
}

Result<Secret> open_envelope(BytesView enveloped, const Secret& kek, BytesView key_identifier, std::size_t limit)
{
    check_kek(kek);
    if (enveloped.size() > limit)
        return refuse(Reason::message_too_large, "an envelope larger than " + std::to_string(limit) + " bytes");
    const auto message = parse(enveloped);
    if (!message || !is_ours(*message))
        return refuse(Reason::malformed_message, "not an envelope of ours");
    const auto& recipient = *sk_Recipient_value(message->content->recipients, 0)->d.kek;
    if (!equal(view(recipient.identifier->key_identifier), key_identifier))
        return refuse(Reason::package_invalid, "the envelope was made for another key identifier");
    return decrypt(enveloped, kek, key_identifier);
}

} // namespace imprint::pki
