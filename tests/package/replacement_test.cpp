// SPDX-License-Identifier: Apache-2.0
#include "backup/package/replacement.h"

#include "backup/package/data_package.h"
#include "backup/package/package.pb.h"
#include "tests/support/reason.h"
#include "tests/support/test_pki.h"

#include <gtest/gtest.h>

namespace imprint::package {
namespace {

using test::at;
using test::now;

class Replacements : public testing::Test {
protected:
    Bytes by(const test::Certified& signer) const
    {
        return make_replacement(replacement, signer.certificate, signer.key.get(), {});
    }
    std::optional<Reason> refused(BytesView statement, std::optional<pki::Time> when = now) const
    {
        const auto opened = open_replacement(statement, pki.trust(), when);
        return opened ? std::nullopt : std::optional(opened.refusal().reason);
    }
    test::TestPki pki;
    Replacement replacement{
        {"imei", "490154203237518"}, std::string(64, 'a'), std::string(64, 'b'), now, "broken board"};
};

TEST_F(Replacements, B19_RoundTrip)
{
    const auto opened = open_replacement(by(pki.station_signing), pki.trust(), now);
    ASSERT_TRUE(opened) << opened.refusal().detail;
    EXPECT_EQ(*opened, replacement);
}

TEST_F(Replacements, B26_IsGoodForYears)
{
    const auto short_lived = pki.ca(pki::Role::station_signing, "Station 9", {at(2020), at(2031)});
    const Bytes bytes = by(short_lived);
    EXPECT_EQ(refused(bytes, at(2040)), Reason::certificate_expired);
    EXPECT_EQ(refused(bytes, std::nullopt), std::nullopt);
}

TEST_F(Replacements, Attack05_OnlyAStationOfThisManufacturerSignsOne)
{
    EXPECT_EQ(refused(by(pki.station_tls)), Reason::wrong_role);
    EXPECT_EQ(refused(by(pki.identity_ca)), Reason::wrong_role);
    const test::TestPki foreign;
    EXPECT_EQ(refused(by(foreign.station_signing)), Reason::untrusted_certificate);
    EXPECT_EQ(refused(pki::add_signer(by(pki.station_signing), foreign.station_signing.certificate,
                                      foreign.station_signing.key.get(), {})),
              Reason::record_invalid);
    const Bytes companion = make_replacement(replacement, pki.station_signing.certificate,
                                             pki.station_signing.key.get(), {pki.station_tls.certificate});
    EXPECT_EQ(refused(companion), Reason::record_invalid);
    EXPECT_EQ(refused(to_bytes("unsigned")), Reason::record_invalid);
    EXPECT_EQ(refused(Bytes(max_replacement + 1, 0x30)), Reason::message_too_large);
}

TEST_F(Replacements, Attack05_NotARevokedStation)
{
    auto trust = pki.trust();
    trust.crls.push_back(pki.crl(pki.station_signing.certificate));
    const auto opened = open_replacement(by(pki.station_signing), trust, now);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.refusal().reason, Reason::certificate_revoked);
}

TEST_F(Replacements, Attack05_NotAStationForOtherIdentities)
{
    const auto serials = pki.ca(pki::Role::station_signing, "Serials", test::valid, {{"serial", "SN-1", "SN-9"}});
    EXPECT_EQ(refused(by(serials)), Reason::identity_out_of_scope);
    const auto terminals =
        pki.ca(pki::Role::station_signing, "Terminals", test::valid, {{"imei", "490154203237518", "490154203237591"}});
    EXPECT_EQ(refused(by(terminals)), std::nullopt);
}

TEST_F(Replacements, Attack05_WhatNamesNoReplacementIsNotMade)
{
    const auto made = [&](auto change) {
        const Replacement good = replacement;
        change(replacement);
        bool done = true;
        try {
            by(pki.station_signing);
        } catch (const Error&) {
            done = false;
        }
        replacement = good;
        return done;
    };
    EXPECT_TRUE(made([](Replacement&) {}));
    EXPECT_FALSE(made([](Replacement& r) { r.present = r.former; }));
    EXPECT_FALSE(made([](Replacement& r) { r.present = "chip"; }));
    EXPECT_FALSE(made([](Replacement& r) { r.former.back() = 'G'; }));
    EXPECT_FALSE(made([](Replacement& r) { r.identity.value = "490154203237517"; }));
    EXPECT_FALSE(made([](Replacement& r) { r.reason.clear(); }));
    EXPECT_FALSE(made([](Replacement& r) { r.reason = "two\nlines"; }));
    EXPECT_FALSE(made([](Replacement& r) { r.reason = std::string(129, 'x'); }));
}

TEST_F(Replacements, Attack05_WhatNamesNoReplacementIsNotRead)
{
    const auto& station = pki.station_signing;
    const auto refused_with = [&](auto change) {
        ReplacementContent message;
        const auto opened = pki::open_signed(by(station), max_replacement);
        message.ParseFromString(to_string(opened->content));
        change(message);
        return refused(pki::sign(serialize(message), station.certificate, station.key.get(), {}));
    };
    EXPECT_EQ(refused_with([](auto&) {}), std::nullopt);
    EXPECT_EQ(refused_with([](auto& m) { m.set_version(2); }), Reason::record_invalid);
    EXPECT_EQ(refused_with([](auto& m) { m.set_present_chip(m.former_chip()); }), Reason::record_invalid);
    EXPECT_EQ(refused_with([](auto& m) { m.set_identity_kind("imsi"); }), Reason::record_invalid);
    EXPECT_EQ(refused_with([](auto& m) { m.set_reason("two\nlines"); }), Reason::record_invalid);
}

TEST_F(Replacements, Attack05_AChangedByteAnywhereIsRefused)
{
    const Bytes bytes = by(pki.station_signing);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        Bytes changed = bytes;
        changed[i] = static_cast<std::uint8_t>(changed[i] ^ 1U << (i % 8));
        ASSERT_TRUE(refused(changed)) << "byte " << i;
    }
}

} // namespace
} // namespace imprint::package
