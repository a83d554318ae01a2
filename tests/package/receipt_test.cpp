// SPDX-License-Identifier: Apache-2.0
#include "backup/package/receipt.h"

#include "backup/package/package.pb.h"
#include "tests/support/test_pki.h"

#include <gtest/gtest.h>

namespace imprint::package {
namespace {

using test::at;
using test::now;

class Receipts : public testing::Test {
protected:
    Bytes by(const test::Certified& signer) const
    {
        return make_receipt(receipt, signer.certificate, signer.key.get(), {});
    }
    test::TestPki pki;
    Receipt receipt{std::string(64, 'a'), 3, Bytes(32, 0x11), now};
};

TEST_F(Receipts, RoundTrip)
{
    const auto opened = open_receipt(by(pki.archive), pki.trust(), now);
    ASSERT_TRUE(opened) << opened.refusal().detail;
    EXPECT_EQ(*opened, receipt);
}

TEST_F(Receipts, AnotherSignerIsRefused)
{
    const auto wrong_role = open_receipt(by(pki.station_tls), pki.trust(), now);
    ASSERT_FALSE(wrong_role);
    EXPECT_EQ(wrong_role.refusal().reason, Reason::wrong_role);
    const test::TestPki foreign;
    const auto untrusted = open_receipt(by(foreign.archive), pki.trust(), now);
    ASSERT_FALSE(untrusted);
    EXPECT_EQ(untrusted.refusal().reason, Reason::untrusted_certificate);
    EXPECT_FALSE(
        open_receipt(pki::add_signer(by(pki.archive), foreign.archive.certificate, foreign.archive.key.get(), {}),
                     pki.trust(), now));
}

TEST_F(Receipts, AreGoodForYears)
{
    const auto short_lived = pki.server(pki::Role::archive, "Archive 1", {at(2020), at(2031)});
    const Bytes bytes = by(short_lived);
    EXPECT_FALSE(open_receipt(bytes, pki.trust(), at(2040)));
    EXPECT_TRUE(open_receipt(bytes, pki.trust(), std::nullopt));
}

TEST_F(Receipts, ThatNameNoRecordAreRefused)
{
    const auto refused = [&](auto change) {
        const Receipt good = receipt;
        change();
        const bool opened = static_cast<bool>(open_receipt(by(pki.archive), pki.trust(), now));
        receipt = good;
        return !opened;
    };
    EXPECT_TRUE(refused([&] { receipt.chip_identifier = "chip"; }));
    EXPECT_TRUE(refused([&] { receipt.sequence = 4; }));
    EXPECT_TRUE(refused([&] { receipt.record_digest.pop_back(); }));
}

TEST_F(Receipts, AChangedByteAnywhereIsRefused)
{
    const Bytes bytes = by(pki.archive);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        Bytes changed = bytes;
        changed[i] = static_cast<std::uint8_t>(changed[i] ^ 1U << (i % 8));
        ASSERT_FALSE(open_receipt(changed, pki.trust(), now)) << "byte " << i;
    }
}

} // namespace
} // namespace imprint::package
