// SPDX-License-Identifier: Apache-2.0
// Keys whose private half OpenSSL never sees.
#include "tests/tls/signers.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <gtest/gtest.h>

#include <thread>

namespace imprint::test {
namespace {

using Request = Owned<X509_REQ, X509_REQ_free>;
using DigestContext = Owned<EVP_MD_CTX, EVP_MD_CTX_free>;

class Keys : public testing::Test {
protected:
    pki::Key remote(tls::Signer signer) { return provider.key(pki::spki(software.get()), std::move(signer)); }
    pki::Key remote() { return remote(signer_of(software.get())); }

    tls::Provider provider;
    pki::Key software = pki::generate_key("P-256");
};

// Signs in two parts; empty if OpenSSL reports a failure.
Bytes sign_with(EVP_PKEY* key, OSSL_LIB_CTX* context, BytesView message, const char* digest = "SHA256")
{
    const DigestContext signing(EVP_MD_CTX_new());
    std::size_t size = 0;
    const auto half = message.first(message.size() / 2), rest = message.subspan(message.size() / 2);
    if (EVP_DigestSignInit_ex(signing.get(), nullptr, digest, context, nullptr, key, nullptr) != 1 ||
        EVP_DigestSignUpdate(signing.get(), half.data(), half.size()) != 1 ||
        EVP_DigestSignUpdate(signing.get(), rest.data(), rest.size()) != 1 ||
        EVP_DigestSignFinal(signing.get(), nullptr, &size) != 1)
        return {};
    Bytes signature(size);
    if (EVP_DigestSignFinal(signing.get(), signature.data(), &size) != 1)
        return {};
    signature.resize(size);
    return signature;
}

bool verifies(EVP_PKEY* key, BytesView message, BytesView signature)
{
    const DigestContext verifying(EVP_MD_CTX_new());
    return EVP_DigestVerifyInit_ex(verifying.get(), nullptr, "SHA256", nullptr, nullptr, key, nullptr) == 1 &&
        EVP_DigestVerify(verifying.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
}

TEST_F(Keys, SignAndTheirPublicHalfVerifies)
{
    const Bytes message(1000, 0x5a);
    EXPECT_TRUE(verifies(software.get(), message, sign_with(remote().get(), provider.context(), message)));
    EXPECT_TRUE(verifies(software.get(), {}, sign_with(remote().get(), provider.context(), {})));
}

TEST_F(Keys, TellTheirPublicHalfAndNothingElse)
{
    const auto key = remote();
    EXPECT_EQ(pki::spki(key.get()), pki::spki(software.get()));
    EXPECT_EQ(EVP_PKEY_eq(key.get(), software.get()), 1);
    EXPECT_EQ(EVP_PKEY_get_bits(key.get()), 256);
    EXPECT_EQ(EVP_PKEY_get_security_bits(key.get()), 128);
    BIGNUM* number = nullptr;
    EXPECT_EQ(EVP_PKEY_get_bn_param(key.get(), "priv", &number), 0);
    const Owned<BIO, BIO_free_all> out(BIO_new(BIO_s_mem()));
    EXPECT_EQ(PEM_write_bio_PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr), 0);
    ERR_clear_error();
}

TEST_F(Keys, TheSignerGetsTheWholeMessageOnce)
{
    std::vector<Bytes> messages;
    const auto key = remote([&, sign = signer_of(software.get())](BytesView message) {
        messages.emplace_back(message.begin(), message.end());
        return sign(message);
    });
    const Bytes message = to_bytes("the whole message");
    EXPECT_FALSE(sign_with(key.get(), provider.context(), message).empty());
    EXPECT_EQ(messages, std::vector<Bytes>(1, message));
}

TEST_F(Keys, RefuseMessagesAbove64KiB)
{
    const auto key = remote();
    EXPECT_FALSE(sign_with(key.get(), provider.context(), Bytes(64 * 1024)).empty());
    EXPECT_TRUE(sign_with(key.get(), provider.context(), Bytes(64 * 1024 + 1)).empty());
    EXPECT_EQ(openssl_error(Reason::internal, "").reason(), Reason::message_too_large);
}

TEST_F(Keys, SignWithSha256Only)
{
    EXPECT_TRUE(sign_with(remote().get(), provider.context(), {}, "SHA384").empty());
    EXPECT_EQ(openssl_error(Reason::internal, "").reason(), Reason::invalid_argument);
}

TEST_F(Keys, AreMadeOfCanonicalP256KeysOnly)
{
    const auto refused = [this](const Bytes& spki) {
        return reason_of([&] { provider.key(spki, signer_of(software.get())); }) == Reason::invalid_argument;
    };
    Bytes trailing = pki::spki(software.get()), off_curve = trailing, compressed = trailing;
    trailing.push_back(0);
    off_curve.back() ^= 1;
    compressed.resize(compressed.size() - 32);
    compressed[1] -= 32;
    compressed[24] -= 32;
    compressed[26] = 2 + (pki::spki(software.get()).back() & 1);
    EXPECT_TRUE(refused(trailing));
    EXPECT_TRUE(refused(off_curve));
    EXPECT_TRUE(refused(compressed));
    EXPECT_TRUE(refused(pki::spki(pki::generate_key("P-384").get())));
    EXPECT_TRUE(refused({}));
    EXPECT_EQ(reason_of([&] { provider.key(pki::spki(software.get()), {}); }), Reason::invalid_argument);
}

TEST_F(Keys, SignRequests)
{
    const auto key = remote();
    const Request request(X509_REQ_new_ex(provider.context(), nullptr));
    ASSERT_EQ(X509_REQ_set_pubkey(request.get(), key.get()), 1);
    ASSERT_GT(X509_REQ_sign(request.get(), key.get(), EVP_sha256()), 0) << openssl_error(Reason::internal, "").what();
    EXPECT_EQ(X509_REQ_verify(request.get(), software.get()), 1);
}

TEST_F(Keys, SignManyMessagesAtOnce)
{
    const auto key = remote();
    const auto work = [&](std::uint8_t fill, int& good) {
        for (int i = 0; i < 20; ++i)
            good +=
                verifies(software.get(), Bytes(100, fill), sign_with(key.get(), provider.context(), Bytes(100, fill)));
    };
    int first = 0, second = 0;
    std::thread other(work, 1, std::ref(first));
    work(2, second);
    other.join();
    EXPECT_EQ(first + second, 40);
}

TEST_F(Keys, OfSeveralProvidersKeepApart)
{
    tls::Provider another;
    const auto theirs = pki::generate_key("P-256");
    const auto key = another.key(pki::spki(theirs.get()), signer_of(theirs.get()));
    EXPECT_TRUE(verifies(theirs.get(), {}, sign_with(key.get(), another.context(), {})));
    EXPECT_TRUE(verifies(software.get(), {}, sign_with(remote().get(), provider.context(), {})));
}

// Whatever goes wrong in a Signer comes out as itself, through whatever OpenSSL makes of it.
TEST_F(Keys, FailWithTheReasonOfTheirSigner)
{
    const auto key = remote(refusing_signer);
    EXPECT_TRUE(sign_with(key.get(), provider.context(), {}).empty());
    EXPECT_TRUE(is_refusing_signers(openssl_error(Reason::internal, "cannot sign")));
    const Request request(X509_REQ_new_ex(provider.context(), nullptr));
    ASSERT_EQ(X509_REQ_set_pubkey(request.get(), key.get()), 1);
    EXPECT_EQ(X509_REQ_sign(request.get(), key.get(), EVP_sha256()), 0);
    EXPECT_TRUE(is_refusing_signers(openssl_error(Reason::internal, "cannot sign")));
}

TEST_F(Keys, SurviveSignersThatThrowAnything)
{
    EXPECT_TRUE(
        sign_with(remote([](BytesView) -> Bytes { throw std::bad_alloc(); }).get(), provider.context(), {}).empty());
    EXPECT_EQ(openssl_error(Reason::busy, "").reason(), Reason::internal);
    EXPECT_TRUE(sign_with(remote([](BytesView) -> Bytes { throw 7; }).get(), provider.context(), {}).empty());
    EXPECT_EQ(openssl_error(Reason::busy, "").reason(), Reason::internal);
    EXPECT_TRUE(sign_with(remote([](BytesView) { return Bytes(); }).get(), provider.context(), {}).empty());
    EXPECT_EQ(openssl_error(Reason::busy, "").reason(), Reason::signature_invalid);
    EXPECT_TRUE(sign_with(remote([](BytesView) { return Bytes(73); }).get(), provider.context(), {}).empty());
    EXPECT_EQ(openssl_error(Reason::busy, "").reason(), Reason::signature_invalid);
}

} // namespace
} // namespace imprint::test
