// SPDX-License-Identifier: Apache-2.0
// CMS SignedData by keys whose private half OpenSSL never sees.
#include "daemon/pki/cms.h"
#include "tests/tls/signers.h"

#include <gtest/gtest.h>

namespace imprint::test {
namespace {

TEST(Cms, SignedByARemoteKey)
{
    const TestPki pki;
    tls::Provider provider;
    const auto module = pki.module("1");
    const auto key = provider.key(module.certificate.spki(), signer_of(module.key.get()));
    const auto data = pki::sign(as_bytes("content"), module.certificate, key.get(), {});
    const auto opened = pki::open_signed(data, 64 * 1024);
    ASSERT_TRUE(opened) << opened.refusal().detail;
    EXPECT_EQ(opened->content, to_bytes("content"));
    EXPECT_EQ(opened->signers.at(0), module.certificate);
}

TEST(Cms, FailsWithTheReasonOfTheSigner)
{
    const TestPki pki;
    tls::Provider provider;
    const auto module = pki.module("1");
    const auto key = provider.key(module.certificate.spki(), refusing_signer);
    try {
        pki::sign(as_bytes("content"), module.certificate, key.get(), {});
        FAIL();
    } catch (const Error& error) {
        EXPECT_TRUE(is_refusing_signers(error)) << error.what();
    }
}

} // namespace
} // namespace imprint::test
