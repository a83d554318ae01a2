// SPDX-License-Identifier: Apache-2.0
// The archive's word which record is the newest.
#include "backup/package/newest.h"
#include "backup/package/receipt.h"
#include "tests/support/test_pki.h"

#include <gtest/gtest.h>

namespace imprint::test {
namespace {

const std::string chip(64, 'a');
const Bytes nonce(package::newest_nonce_size, 7);

class Newest : public testing::Test {
protected:
    Bytes made(const package::Newest& newest) const
    {
        return package::make_newest(newest, pki.archive.certificate, pki.archive.key.get(), {});
    }
    std::optional<Reason> refusal(BytesView word) const
    {
        const auto opened = package::open_newest(word, pki.trust(), now, chip, nonce);
        return opened ? std::nullopt : std::optional(opened.refusal().reason);
    }

    TestPki pki;
    package::Newest good{chip, 5, Bytes(32, 1), now, nonce};
};

TEST_F(Newest, ComesBackAsItWasSigned)
{
    EXPECT_EQ(package::open_newest(made(good), pki.trust(), now, chip, nonce).or_throw(), good);
}

TEST_F(Newest, Attack45_NeitherAReceiptNorAnotherQuestionsWordPassesForIt)
{
    const auto receipt =
        package::make_receipt({chip, 5, Bytes(32, 1), now}, pki.archive.certificate, pki.archive.key.get(), {});
    EXPECT_EQ(refusal(receipt), Reason::record_invalid);
    const auto as_receipt = package::open_receipt(made(good), pki.trust(), now);
    ASSERT_FALSE(as_receipt);
    EXPECT_EQ(as_receipt.refusal().reason, Reason::record_invalid);

    auto other = good;
    other.nonce.assign(package::newest_nonce_size, 8);
    EXPECT_EQ(refusal(made(other)), Reason::nonce_mismatch);
    other = good;
    other.chip_identifier.assign(64, 'b');
    EXPECT_EQ(refusal(made(other)), Reason::record_foreign);
}

TEST_F(Newest, WhatIsNotWellFormedIsRefused)
{
    for (const auto& change : std::vector<std::function<void(package::Newest&)>>{
             [](auto& newest) { newest.sequence = 4; }, [](auto& newest) { newest.record_digest.pop_back(); },
             [](auto& newest) { newest.nonce.pop_back(); }, [](auto& newest) { newest.chip_identifier = "A"; }}) {
        auto bad = good;
        change(bad);
        EXPECT_EQ(refusal(made(bad)), Reason::record_invalid);
    }
    const Bytes word = made(good);
    EXPECT_EQ(refusal(BytesView(word).first(word.size() - 1)), Reason::record_invalid);
    for (std::size_t at = 0; at < word.size(); at += 31) {
        Bytes flipped = word;
        flipped[at] ^= 1;
        EXPECT_TRUE(refusal(flipped)) << at;
    }
}

TEST_F(Newest, OnlyAnArchiveOfTheManufacturersHasAWord)
{
    const auto by = [&](const Certified& signer) {
        return refusal(package::make_newest(good, signer.certificate, signer.key.get(), {}));
    };
    EXPECT_EQ(by(pki.station_signing), Reason::wrong_role);
    EXPECT_EQ(by(pki.station_tls), Reason::wrong_role);
    EXPECT_EQ(by(TestPki().archive), Reason::untrusted_certificate);
    EXPECT_EQ(by(pki.server(pki::Role::archive, "archive", expired)), Reason::certificate_expired);
}

} // namespace
} // namespace imprint::test
