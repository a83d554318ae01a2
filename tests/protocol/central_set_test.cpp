// SPDX-License-Identifier: Apache-2.0
#include "provisioning/protocol/central_set.h"

#include "provisioning/protocol/central_set.pb.h"
#include "tests/support/reason.h"
#include "tests/support/test_pki.h"

#include <gtest/gtest.h>

namespace imprint::protocol {
namespace {

using test::at;
using test::Certified;
using test::now;
using test::valid;
constexpr auto where_present = CrossCertificates::where_present;
constexpr auto required = CrossCertificates::required;

class CentralSets : public testing::Test {
protected:
    pki::Certificate certified(const Certified& key, const Certified& by, pki::Validity validity = valid) const
    {
        return pki::issue_certified_central(by.issuer(), key.certificate.spki(), "Central", validity);
    }
    pki::Certificate cross(const Certified& by, const Certified& to, pki::Validity validity = valid) const
    {
        return pki::issue_cross_certificate(by.issuer(), to.certificate, validity);
    }
    CentralKey good(const Certified& key) const { return {certified(key, station), cross(key, station)}; }

    Bytes make(const std::vector<CentralKey>& keys, std::uint64_t number = 7) const
    {
        return make_central_set(number, keys, station.certificate, station.key.get(), {});
    }
    Bytes make_content(const CentralSetContent& content) const
    {
        return pki::sign(as_bytes(content.SerializeAsString()), station.certificate, station.key.get(), {});
    }
    CentralSetContent content_of(const std::vector<CentralKey>& keys) const
    {
        CentralSetContent content;
        content.ParseFromString(to_string(pki::open_signed(make(keys), max_central_set).or_throw().content));
        return content;
    }
    void expect(Reason reason, BytesView set, const std::string& what, CrossCertificates cross = where_present,
                const std::vector<pki::Crl>& crls = {}) const
    {
        auto trust = pki.trust();
        trust.crls = crls;
        const auto opened = open_central_set(set, trust, cross, now);
        ASSERT_FALSE(opened) << what;
        EXPECT_EQ(name(opened.refusal().reason), name(reason)) << what << ": " << opened.refusal().detail;
    }

    test::TestPki pki, twin;
    const Certified& station = pki.station_signing;
    Certified central = pki.server(pki::Role::central, "Central");
    Certified next = pki.server(pki::Role::central, "Central");
};

TEST_F(CentralSets, A25_ThePinsOfTheKeysInTheirOrder)
{
    const Bytes bytes = make({good(central), good(next)});
    const auto set = open_central_set(bytes, pki.trust(), required, now);
    ASSERT_TRUE(set) << set.refusal().detail;
    EXPECT_EQ(set->number, 7U);
    EXPECT_EQ(set->signer, station.certificate);
    const auto pinned = pins(*set);
    ASSERT_EQ(pinned.size(), 2U);
    EXPECT_NE(pinned[0], pinned[1]);
    EXPECT_EQ(pinned, pins(read_central_set(bytes).or_throw()));
    EXPECT_TRUE(open_central_set(make({{certified(central, station), {}}}), pki.trust(), where_present, now));
}

TEST_F(CentralSets, A25_WhatWasAcceptedOutlivesTheStationsCertificate)
{
    const auto brief = pki.ca(pki::Role::station_signing, "Station 1", {at(2029), at(2031)});
    const Bytes bytes = make_central_set(1, {{certified(central, brief), {}}}, brief.certificate, brief.key.get(), {});
    EXPECT_TRUE(open_central_set(bytes, pki.trust(), where_present, now));
    EXPECT_EQ(open_central_set(bytes, pki.trust(), where_present, at(2032)).refusal().reason,
              Reason::certificate_expired);
    EXPECT_TRUE(read_central_set(bytes));
}

TEST_F(CentralSets, A26_EveryLinkOfTheStationsWordBrokenInTurn)
{
    const auto set_by = [&](const Certified& signer, const Certified& issuer) {
        return make_central_set(7, {{certified(central, issuer), {}}}, signer.certificate, signer.key.get(), {});
    };
    const auto other = pki.ca(pki::Role::station_signing, "Station 1");
    const auto old = pki.ca(pki::Role::station_signing, "Station 1", test::expired);
    const auto early = pki.ca(pki::Role::station_signing, "Station 1", test::not_yet_valid);
    expect(Reason::untrusted_certificate, set_by(twin.station_signing, twin.station_signing), "another manufacturer");
    expect(Reason::wrong_role, set_by(pki.identity_ca, pki.identity_ca), "an identity CA as station");
    expect(Reason::certificate_expired, set_by(old, old), "a station whose time is over");
    expect(Reason::certificate_not_yet_valid, set_by(early, early), "a station before its time");
    expect(Reason::certificate_revoked, set_by(station, station), "a stolen station", where_present,
           {pki.crl(station.certificate)});
    expect(Reason::central_not_certified, set_by(station, other), "a key by another station");
    expect(Reason::central_not_certified, set_by(station, pki.identity_ca), "a key by another CA");
    expect(Reason::central_not_certified, make({{central.certificate, {}}}), "the server's certificate instead");
    expect(Reason::central_not_certified, make({good(next), {certified(central, other), {}}}), "the second key");
    expect(Reason::wrong_role, make({{pki.module("SN-000001").certificate, {}}}), "a module's certificate");
    expect(Reason::certificate_expired, make({{certified(central, station, test::expired), {}}}), "an expired key");
    expect(Reason::certificate_not_yet_valid, make({{certified(central, station, test::not_yet_valid), {}}}), "early");
    const auto revoked = certified(central, station);
    expect(Reason::certificate_revoked, make({{revoked, {}}}), "a revoked key", where_present,
           {pki.station_crl(revoked)});
}

TEST_F(CentralSets, A27_EveryLinkOfTheCentralsWordBrokenInTurn)
{
    const auto with = [&](pki::Certificate cross_certificate) {
        return make({{certified(central, station), std::move(cross_certificate)}});
    };
    const auto other = pki.ca(pki::Role::station_signing, "Station 1");
    expect(Reason::cross_certificate_missing, make({{certified(central, station), {}}}), "missing", required);
    expect(Reason::cross_certificate_missing, make({good(central), {certified(next, station), {}}}), "second",
           required);
    expect(Reason::cross_certificate_invalid, with(cross(central, other)), "another station's");
    expect(Reason::cross_certificate_invalid, with(cross(next, station)), "by another central key");
    expect(Reason::cross_certificate_invalid, with(cross(central, station, test::expired)), "expired");
    expect(Reason::cross_certificate_invalid, with(cross(central, station, test::not_yet_valid)), "early");
    expect(Reason::cross_certificate_invalid, with(station.certificate), "the checking key's word instead");
    const auto by_station = pki::issue_certified_central(central.issuer(), station.certificate.spki(), "S", valid);
    expect(Reason::cross_certificate_invalid, with(by_station), "the right keys, for something else");
}

TEST_F(CentralSets, Attack17_OneEncodingAndNothingBesides)
{
    const auto change = [&](auto f) {
        auto content = content_of({good(central)});
        f(content);
        return make_content(content);
    };
    expect(Reason::central_set_invalid, change([](auto& c) { c.set_version(2); }), "version");
    expect(Reason::central_set_invalid, change([](auto& c) { c.set_number(0); }), "number");
    expect(Reason::central_set_invalid, change([](auto& c) { c.clear_keys(); }), "no key");
    expect(Reason::central_set_invalid, change([](auto& c) { *c.add_keys() = c.keys(0); }), "a key twice");
    expect(Reason::central_set_invalid, change([](auto& c) { c.mutable_keys(0)->set_certificate("?"); }), "garbage");
    expect(Reason::central_set_invalid, change([](auto& c) { c.mutable_keys(0)->set_cross_certificate("?"); }),
           "cross");
    expect(Reason::central_set_invalid, change([](auto& c) { c.mutable_unknown_fields()->append("\xfa\x07\x00", 3); }),
           "unknown field");
    expect(Reason::central_set_invalid,
           change([](auto& c) { c.mutable_keys(0)->mutable_unknown_fields()->append("\xfa\x07\x00", 3); }), "inside");
    std::vector<CentralKey> many;
    for (std::size_t i = 0; i <= max_central_keys; ++i)
        many.push_back({certified(pki.server(pki::Role::central, "Central"), station), {}});
    expect(Reason::central_set_invalid, make(many), "too many keys");
    expect(Reason::central_set_invalid, Bytes(max_central_set + 1), "too large");
    expect(Reason::central_set_invalid, as_bytes("?"), "no CMS");
    expect(Reason::central_set_invalid,
           make_central_set(7, {good(central)}, station.certificate, station.key.get(), {twin.station_tls.certificate}),
           "a stowaway");
    expect(Reason::central_set_invalid,
           pki::add_signer(make({good(central)}), pki.archive.certificate, pki.archive.key.get(), {}), "two signers");
}

TEST_F(CentralSets, A26_EveryFlippedByteIsRefused)
{
    const Bytes set = make({good(central)});
    for (std::size_t i = 0; i < set.size(); i += 3) {
        Bytes flipped = set;
        flipped[i] ^= 1;
        EXPECT_FALSE(open_central_set(flipped, pki.trust(), where_present, now)) << i;
    }
}

TEST_F(CentralSets, A25_AnUpdateNeverGoesBack)
{
    const auto set = [&](std::uint64_t number, const Certified& key) {
        return read_central_set(make({good(key)}, number)).or_throw();
    };
    const auto present = set(7, central);
    EXPECT_TRUE(*supersedes(set(8, next), present));
    EXPECT_FALSE(*supersedes(set(7, central), present)) << "the same once more";
    EXPECT_EQ(supersedes(set(6, central), present).refusal().reason, Reason::central_set_outdated);
    EXPECT_EQ(supersedes(set(7, next), present).refusal().reason, Reason::central_set_outdated);
}

} // namespace
} // namespace imprint::protocol
