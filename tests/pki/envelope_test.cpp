// SPDX-License-Identifier: Apache-2.0
#include "daemon/pki/cms.h"
#include "daemon/pki/envelope_asn1.h"
#include "tests/support/process.h"

#include <gtest/gtest.h>
#include <openssl/cms.h>

#include <functional>

namespace imprint::pki {
namespace {

constexpr std::size_t limit = 64 * 1024;
const Bytes content = to_bytes("the data package");
const Bytes identifier = to_bytes("chip and sequence");

const Secret& kek()
{
    static const Secret kek = random_secret(32);
    return kek;
}

Bytes enveloped() { return envelope(Secret(content), kek(), identifier); }

std::optional<Reason> refused(BytesView bytes, const Secret& key = kek(), BytesView id = identifier,
                              std::size_t size_limit = limit)
{
    const auto opened = open_envelope(bytes, key, id, size_limit);
    return opened ? std::nullopt : std::optional(opened.refusal().reason);
}

// The envelope with a change, in DER again.
Bytes changed(const std::function<void(AuthEnveloped&)>& change)
{
    const auto bytes = enveloped();
    const unsigned char* position = bytes.data();
    const Owned<EnvelopeMessage, EnvelopeMessage_free> message(
        d2i_EnvelopeMessage(nullptr, &position, static_cast<long>(bytes.size())));
    change(*message->content);
    Bytes out(static_cast<std::size_t>(i2d_EnvelopeMessage(message.get(), nullptr)));
    unsigned char* end = out.data();
    i2d_EnvelopeMessage(message.get(), &end);
    return out;
}

void set_parameters(AuthEnveloped& body, int nonce_size, int tag_size)
{
    const Owned<GcmParameters, GcmParameters_free> parameters(GcmParameters_new());
    const Bytes nonce(static_cast<std::size_t>(nonce_size), 7);
    ASN1_STRING_set(parameters->nonce, nonce.data(), nonce_size);
    ASN1_INTEGER_set(parameters->tag_size, tag_size);
    ASN1_STRING* packed = ASN1_STRING_type_new(V_ASN1_SEQUENCE);
    packed->length = i2d_GcmParameters(parameters.get(), &packed->data);
    X509_ALGOR_set0(body.content->algorithm, OBJ_nid2obj(NID_aes_256_gcm), V_ASN1_SEQUENCE, packed);
}

// What OpenSSL's own reader makes of it, without our checks.
bool openssl_reads(BytesView bytes)
{
    const unsigned char* position = bytes.data();
    const Owned<CMS_ContentInfo, CMS_ContentInfo_free> cms(
        d2i_CMS_ContentInfo(nullptr, &position, static_cast<long>(bytes.size())));
    const Owned<BIO, BIO_free> out(BIO_new(BIO_s_mem()));
    auto key = kek().clone();
    return cms && CMS_decrypt_set1_key(cms.get(), key.data(), key.size(), nullptr, 0) == 1 &&
        CMS_decrypt(cms.get(), nullptr, nullptr, nullptr, out.get(), CMS_BINARY) == 1;
}

TEST(Envelope, RoundTrip)
{
    const auto opened = open_envelope(enveloped(), kek(), identifier, limit);
    ASSERT_TRUE(opened) << opened.refusal().detail;
    EXPECT_TRUE(equal(opened->view(), content));
    const auto empty = open_envelope(envelope(Secret(), kek(), identifier), kek(), identifier, limit);
    ASSERT_TRUE(empty) << empty.refusal().detail;
    EXPECT_TRUE(empty->empty());
    EXPECT_NE(enveloped(), enveloped());
}

TEST(Envelope, OpensslCmsDecrypts)
{
    const test::TemporaryDirectory directory;
    write_file(directory.path() / "package.der", enveloped());
    const auto out = (directory.path() / "out").string();
    const auto decrypted = test::run({"openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-in",
                                      (directory.path() / "package.der").string(), "-secretkey", hex(kek().view()),
                                      "-secretkeyid", hex(identifier), "-out", out});
    EXPECT_EQ(decrypted.status, 0) << decrypted.err;
    EXPECT_EQ(read_file(out, limit), content);
}

TEST(Envelope, AnotherKeyOrKeyIdentifierDoesNotOpenIt)
{
    EXPECT_EQ(refused(enveloped(), random_secret(32)), Reason::package_invalid);
    EXPECT_EQ(refused(enveloped(), kek(), as_bytes("another chip")), Reason::package_invalid);
    EXPECT_EQ(refused(enveloped(), kek(), {}), Reason::package_invalid) << "to OpenSSL, that means any";
    EXPECT_THROW(refused(enveloped(), random_secret(16)), Error);
    EXPECT_THROW(envelope(Secret(content), random_secret(31), identifier), Error);
}

TEST(Envelope, Attack47_ATruncatedTagIsRefused)
{
    EXPECT_TRUE(openssl_reads(enveloped()));
    for (int size = 4; size < 16; ++size) {
        const auto shorter = changed([&](AuthEnveloped& body) { body.tag->length = size; });
        EXPECT_EQ(refused(shorter), Reason::malformed_message) << size;
    }
    // The attack is real: OpenSSL takes such a tag for good.
    EXPECT_TRUE(openssl_reads(changed([&](AuthEnveloped& body) { body.tag->length = 4; })));
    for (int size = 4; size < 16; ++size) {
        const auto announced = changed([&](AuthEnveloped& body) {
            body.tag->length = size;
            set_parameters(body, 12, size);
        });
        EXPECT_EQ(refused(announced), Reason::malformed_message) << size;
    }
}

TEST(Envelope, Attack47_AChangedKeyIdentifierIsRefused)
{
    const auto other = to_bytes("chip and SEQUENCE");
    const auto bytes = changed([&](AuthEnveloped& body) {
        auto* id = sk_Recipient_value(body.recipients, 0)->d.kek->identifier->key_identifier;
        ASN1_STRING_set(id, other.data(), static_cast<int>(other.size()));
    });
    EXPECT_TRUE(openssl_reads(bytes)); // nothing authenticates it but the caller's key
    EXPECT_EQ(refused(bytes), Reason::package_invalid);
}

TEST(Envelope, Attack17_OtherFormsAreRefused)
{
    EXPECT_EQ(refused(changed([](AuthEnveloped& body) { set_parameters(body, 16, 16); })), Reason::malformed_message);
    EXPECT_EQ(refused(changed([](AuthEnveloped& body) { ASN1_INTEGER_set(body.version, 1); })),
              Reason::malformed_message);
    EXPECT_EQ(refused(changed([](AuthEnveloped& body) {
                  X509_ALGOR_set0(sk_Recipient_value(body.recipients, 0)->d.kek->algorithm,
                                  OBJ_nid2obj(NID_id_aes128_wrap), V_ASN1_UNDEF, nullptr);
              })),
              Reason::malformed_message);
    const Owned<BIO, BIO_free> in(BIO_new_mem_buf(content.data(), static_cast<int>(content.size())));
    const Owned<CMS_ContentInfo, CMS_ContentInfo_free> data(CMS_data_create(in.get(), CMS_BINARY));
    Bytes der(static_cast<std::size_t>(i2d_CMS_ContentInfo(data.get(), nullptr)));
    unsigned char* end = der.data();
    i2d_CMS_ContentInfo(data.get(), &end);
    EXPECT_EQ(refused(der), Reason::malformed_message);
}

TEST(Envelope, Attack17_Attack47_EveryChangedByteIsRefused)
{
    const auto bytes = enveloped();
    for (std::size_t i = 0; i < bytes.size(); ++i)
        for (const int flip : {0x01, 0x20, 0x80}) {
            auto mutated = bytes;
            mutated[i] = static_cast<std::uint8_t>(mutated[i] ^ flip);
            EXPECT_NE(refused(mutated), std::nullopt) << "byte " << i;
        }
    for (std::size_t size = 0; size < bytes.size(); ++size)
        EXPECT_EQ(refused(BytesView(bytes).first(size)), Reason::malformed_message) << size;
    auto longer = bytes;
    longer.push_back(0);
    EXPECT_EQ(refused(longer), Reason::malformed_message);
    EXPECT_EQ(refused(bytes, kek(), identifier, bytes.size() - 1), Reason::message_too_large);
}

} // namespace
} // namespace imprint::pki
