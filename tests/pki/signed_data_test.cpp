// SPDX-License-Identifier: Apache-2.0
#include "daemon/pki/cms.h"
#include "daemon/tls/provider.h"
#include "tests/support/process.h"
#include "tests/support/test_pki.h"

#include <gtest/gtest.h>
#include <openssl/cms.h>
#include <openssl/ecdsa.h>

namespace imprint::pki {
namespace {

constexpr std::size_t limit = 64 * 1024;
const Bytes content = to_bytes("a record\nwith\r\nits line ends as they are\0 and a NUL");

class SignedData : public testing::Test {
protected:
    static const test::TestPki& pki()
    {
        static const test::TestPki pki;
        return pki;
    }
    static const test::Certified& device()
    {
        static const test::Certified device = pki().identity("D-1", std::string(64, 'a'));
        return device;
    }
    static Bytes one_signer()
    {
        return sign(content, device().certificate, device().key.get(), {pki().identity_ca.certificate},
                    {.time = test::at(2031)});
    }
    static Bytes two_signers(BytesView first)
    {
        const auto& station = pki().station_signing;
        return add_signer(first, station.certificate, station.key.get(), {pki().identity_ca.certificate},
                          {.time = test::at(2055)});
    }
    static std::optional<Reason> refused(BytesView bytes, std::size_t size_limit = limit)
    {
        const auto opened = open_signed(bytes, size_limit);
        return opened ? std::nullopt : std::optional(opened.refusal().reason);
    }
};

// The DER of every SignerInfo's signature and attributes is inside its DER, which OpenSSL does not give: look for the
// signature, which is unique, and for the attributes by their encoding.
std::vector<Bytes> signatures(BytesView der)
{
    const unsigned char* position = der.data();
    const Owned<CMS_ContentInfo, CMS_ContentInfo_free> cms(
        d2i_CMS_ContentInfo(nullptr, &position, static_cast<long>(der.size())));
    const auto* infos = CMS_get0_SignerInfos(cms.get());
    std::vector<Bytes> out;
    for (int i = 0; i < sk_CMS_SignerInfo_num(infos); ++i) {
        const auto* signature = CMS_SignerInfo_get0_signature(sk_CMS_SignerInfo_value(infos, i));
        out.emplace_back(signature->data, signature->data + signature->length);
    }
    return out;
}

bool contains(BytesView haystack, BytesView needle)
{
    return std::search(haystack.begin(), haystack.end(), needle.begin(), needle.end()) != haystack.end();
}

TEST_F(SignedData, SecondSignerWhoseCertificateCameAlongAlready)
{
    const auto first = sign(content, device().certificate, device().key.get(), {pki().station_signing.certificate}, {});
    const auto opened = open_signed(two_signers(first), limit);
    ASSERT_TRUE(opened) << opened.refusal().detail;
    // Their order is that of DER, not of signing.
    for (const auto& signer : {device().certificate, pki().station_signing.certificate})
        EXPECT_EQ(std::ranges::count(opened->signers, signer), 1);
    EXPECT_EQ(opened->certificates.size(), 3U);
}

TEST_F(SignedData, RoundTrip)
{
    const auto opened = open_signed(one_signer(), limit);
    ASSERT_TRUE(opened) << opened.refusal().detail;
    EXPECT_EQ(opened->content, content);
    EXPECT_EQ(opened->signers, Certificates{device().certificate});
    EXPECT_EQ(opened->signing_times, std::vector<Time>{test::at(2031)});
    EXPECT_EQ(opened->certificates.size(), 2U);
    const auto empty = open_signed(sign({}, device().certificate, device().key.get(), {}), limit);
    ASSERT_TRUE(empty) << empty.refusal().detail;
    EXPECT_TRUE(empty->content.empty());
}

TEST_F(SignedData, ASecondSignerLeavesTheFirstIntact)
{
    const auto first = one_signer();
    const auto both = two_signers(first);
    const auto opened = open_signed(both, limit);
    ASSERT_TRUE(opened) << opened.refusal().detail;
    EXPECT_EQ(opened->content, content);
    ASSERT_EQ(opened->signers.size(), 2U);
    EXPECT_EQ(opened->certificates.size(), 3U) << "an issuer that was there stands once";
    EXPECT_NE(std::ranges::find(opened->signers, device().certificate), opened->signers.end());
    EXPECT_NE(std::ranges::find(opened->signers, pki().station_signing.certificate), opened->signers.end());
    for (std::size_t i = 0; i < 2; ++i)
        EXPECT_EQ(opened->signing_times[i],
                  opened->signers[i] == device().certificate ? test::at(2031) : test::at(2055));
    // The SignerInfo is the last element of the first message: its whole DER must stand in the second one.
    const auto signature = signatures(first).front();
    const auto info = Bytes(std::search(first.begin(), first.end(), content.begin(), content.end()) +
                                static_cast<std::ptrdiff_t>(content.size()),
                            first.end());
    const auto certificates = device().certificate.der().size() + pki().identity_ca.certificate.der().size();
    EXPECT_TRUE(contains(both, signature));
    EXPECT_TRUE(contains(both, BytesView(info).subspan(certificates + 8)));
}

TEST_F(SignedData, SignsWithAKeyOfAnotherProvider)
{
    tls::Provider provider;
    const auto& software = device().key;
    const auto key = provider.key(spki(software.get()), [&](BytesView message) {
        const Owned<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
        Bytes signature(128);
        std::size_t size = signature.size();
        EXPECT_EQ(EVP_DigestSignInit_ex(context.get(), nullptr, "SHA256", nullptr, nullptr, software.get(), nullptr),
                  1);
        EXPECT_EQ(EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()), 1);
        signature.resize(size);
        return signature;
    });
    const auto named = sign(content, device().certificate, key.get(), {}, {.context = provider.context()});
    const auto unnamed = sign(content, device().certificate, key.get(), {});
    const auto station = sign(content, pki().station_signing.certificate, pki().station_signing.key.get(), {});
    const auto second = add_signer(station, device().certificate, key.get(), {}, {.context = provider.context()});
    EXPECT_EQ(refused(named), std::nullopt);
    EXPECT_EQ(refused(unnamed), std::nullopt);
    EXPECT_EQ(refused(second), std::nullopt);
}

TEST_F(SignedData, OpensslCmsVerifies)
{
    const test::TemporaryDirectory directory;
    const auto path = [&](const char* name) { return (directory.path() / name).string(); };
    write_file(path("record.der"), two_signers(one_signer()));
    write_file(path("root.pem"), to_pem({pki().root.certificate}));
    const auto verified =
        test::run({"openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", path("record.der"), "-CAfile",
                   path("root.pem"), "-purpose", "any", "-out", path("content")});
    EXPECT_EQ(verified.status, 0) << verified.err;
    EXPECT_EQ(read_file(path("content"), limit), content);
}

TEST_F(SignedData, Attack47_EveryChangedByteIsNoticed)
{
    const auto bytes = one_signer();
    // Certificates are checked by their chain, not here.
    const auto start = [&](const Certificate& certificate) {
        const auto der = certificate.der();
        return static_cast<std::size_t>(std::search(bytes.begin(), bytes.end(), der.begin(), der.end()) -
                                        bytes.begin());
    };
    const auto inside = [&](std::size_t i, const Certificate& certificate) {
        return i >= start(certificate) && i < start(certificate) + certificate.der().size();
    };
    for (std::size_t i = 0; i < bytes.size(); ++i)
        for (const int flip : {0x01, 0x20, 0x80}) {
            auto changed = bytes;
            changed[i] = static_cast<std::uint8_t>(changed[i] ^ flip);
            const auto opened = open_signed(changed, limit);
            const bool in_certificate = inside(i, device().certificate) || inside(i, pki().identity_ca.certificate);
            EXPECT_TRUE(!opened || (in_certificate && opened->content == content)) << "byte " << i;
        }
}

TEST_F(SignedData, Attack17_EveryTruncationAndExtensionIsRefused)
{
    const auto bytes = one_signer();
    for (std::size_t size = 0; size < bytes.size(); ++size)
        EXPECT_EQ(refused(BytesView(bytes).first(size)), Reason::malformed_message) << size;
    auto longer = bytes;
    longer.push_back(0);
    EXPECT_EQ(refused(longer), Reason::malformed_message);
    EXPECT_EQ(refused(bytes, bytes.size() - 1), Reason::message_too_large);
}

using Cms = Owned<CMS_ContentInfo, CMS_ContentInfo_free>;

Bytes der_of(CMS_ContentInfo* cms)
{
    Bytes out(static_cast<std::size_t>(i2d_CMS_ContentInfo(cms, nullptr)));
    unsigned char* end = out.data();
    i2d_CMS_ContentInfo(cms, &end);
    return out;
}

TEST_F(SignedData, Attack17_OtherFormsOfCmsAreRefused)
{
    const auto bio = Owned<BIO, BIO_free>(BIO_new_mem_buf(content.data(), static_cast<int>(content.size())));
    const auto make = [&](unsigned flags) {
        (void)BIO_reset(bio.get());
        return Cms(CMS_sign(device().certificate.x509(), device().key.get(), nullptr, bio.get(), CMS_BINARY | flags));
    };
    EXPECT_EQ(refused(der_of(make(CMS_NOSMIMECAP).get())), std::nullopt);
    EXPECT_EQ(refused(der_of(make(CMS_DETACHED).get())), Reason::malformed_message);
    EXPECT_EQ(refused(der_of(make(CMS_NOATTR).get())), Reason::malformed_message);
    EXPECT_EQ(refused(der_of(make(CMS_NOCERTS).get())), Reason::malformed_message);
    EXPECT_EQ(refused(der_of(Cms(CMS_data_create(bio.get(), CMS_BINARY)).get())), Reason::malformed_message);

    const auto with_unsigned = make(0);
    auto* info = sk_CMS_SignerInfo_value(CMS_get0_SignerInfos(with_unsigned.get()), 0);
    CMS_unsigned_add1_attr_by_txt(info, "1.2.3.4", V_ASN1_OCTET_STRING, "x", 1);
    EXPECT_EQ(refused(der_of(with_unsigned.get())), Reason::malformed_message);

    const Cms unsigned_data(CMS_sign(nullptr, nullptr, nullptr, bio.get(), CMS_BINARY | CMS_PARTIAL));
    (void)BIO_reset(bio.get());
    CMS_final(unsigned_data.get(), bio.get(), nullptr, CMS_BINARY);
    EXPECT_EQ(refused(der_of(unsigned_data.get())), Reason::malformed_message);

    // BER with indefinite lengths: what `openssl cms -stream` writes.
    (void)BIO_reset(bio.get());
    const Cms streamed(
        CMS_sign(device().certificate.x509(), device().key.get(), nullptr, bio.get(), CMS_BINARY | CMS_STREAM));
    const Owned<BIO, BIO_free> out(BIO_new(BIO_s_mem()));
    ASSERT_EQ(i2d_CMS_bio_stream(out.get(), streamed.get(), bio.get(), CMS_BINARY | CMS_STREAM), 1);
    char* data = nullptr;
    const long size = BIO_get_mem_data(out.get(), &data);
    EXPECT_EQ(refused(as_bytes({data, static_cast<std::size_t>(size)})), Reason::malformed_message);
}

TEST_F(SignedData, Attack44_AForeignKeyCannotSignForACertificate)
{
    EXPECT_THROW(sign(content, device().certificate, pki().archive.key.get(), {}), Error);
    EXPECT_THROW(add_signer(one_signer(), pki().station_signing.certificate, pki().archive.key.get(), {}), Error);
    EXPECT_THROW(add_signer(content, device().certificate, device().key.get(), {}), Error);
}

} // namespace
} // namespace imprint::pki
