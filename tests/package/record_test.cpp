// SPDX-License-Identifier: Apache-2.0
#include "backup/package/record.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/templates.h"
#include "tests/package/software_device.h"
#include "tests/support/process.h"

#include <gtest/gtest.h>
#include <openssl/cms.h>

namespace imprint::package {
namespace {

using test::at;
using test::now;

class Records : public testing::Test {
protected:
    Bytes by(const Bytes& record, const test::Certified& signer) const
    {
        return countersign(record, signer.certificate, signer.key.get(), {});
    }
    std::optional<Reason> refusal_of(BytesView record) const
    {
        const auto opened = open_record(record, trust, now);
        if (opened)
            return std::nullopt;
        return opened.refusal().reason;
    }

    Bytes device_content(BytesView record) const { return open_record(record, trust, now).or_throw().content_bytes; }
    // A second signature with the same key, which pki::add_signer does not make.
    static Bytes once_more(const Bytes& record, const test::Certified& signer)
    {
        const auto* position = record.data();
        const Owned<CMS_ContentInfo, CMS_ContentInfo_free> cms(
            d2i_CMS_ContentInfo(nullptr, &position, static_cast<long>(record.size())));
        auto* info = CMS_add1_signer(cms.get(), signer.certificate.x509(), signer.key.get(), EVP_sha256(),
                                     CMS_BINARY | CMS_NOSMIMECAP | CMS_PARTIAL | CMS_NOCERTS | CMS_REUSE_DIGEST);
        EXPECT_EQ(CMS_SignerInfo_sign(info), 1);
        unsigned char* der = nullptr;
        const int size = i2d_CMS_ContentInfo(cms.get(), &der);
        const Bytes twice(der, der + size);
        OPENSSL_free(der);
        return twice;
    }

    test::TestPki pki;
    pki::Trust trust = pki.trust();
    test::SoftwareDevice device{pki, "SN-1"};
};
using Attack19Records = Records;
using Attack44 = Records;
using B2 = Records;

TEST_F(Records, RoundTrip)
{
    const auto content = device.record_content(3);
    const auto from_device = open_device_record(device.device_record(content), trust, now);
    ASSERT_TRUE(from_device) << from_device.refusal().detail;
    EXPECT_FALSE(from_device->station);
    EXPECT_EQ(from_device->content.sequence(), 3U);

    const auto complete = open_record(by(from_device->bytes, pki.station_signing), trust, now);
    ASSERT_TRUE(complete) << complete.refusal().detail;
    EXPECT_EQ(complete->content_bytes, from_device->content_bytes);
    EXPECT_EQ(complete->identity, device.identity.certificate);
    EXPECT_EQ(complete->station, pki.station_signing.certificate);
    EXPECT_EQ(complete->content.backup_package(), content.backup_package());
}

TEST_F(Attack44, ARecordSignedByAStationAloneIsRefused)
{
    const auto content = device.record_content(3);
    const auto& station = pki.station_signing;
    const Bytes alone = make_record(content, station.certificate, station.key.get(), {});
    EXPECT_EQ(refusal_of(alone), Reason::record_invalid);
    EXPECT_FALSE(open_device_record(alone, trust, now));
}

TEST_F(Attack44, ARecordSignedByStationsTwiceIsRefused)
{
    const auto& station = pki.station_signing;
    const auto second = pki.ca(pki::Role::station_signing, "Station 2");
    const Bytes alone = make_record(device.record_content(3), station.certificate, station.key.get(), {});
    EXPECT_EQ(refusal_of(once_more(alone, station)), Reason::record_invalid);
    EXPECT_EQ(refusal_of(by(alone, second)), Reason::record_invalid);
}

TEST_F(Attack44, TheDeviceAloneOrTwiceIsRefused)
{
    const Bytes once = device.device_record(3);
    EXPECT_EQ(refusal_of(once), Reason::record_invalid);
    EXPECT_EQ(refusal_of(once_more(once, device.identity)), Reason::record_invalid);
}

TEST_F(Attack44, AThirdSignerIsRefused)
{
    const auto second = pki.ca(pki::Role::station_signing, "Station 2");
    EXPECT_EQ(refusal_of(by(device.record(3), second)), Reason::record_invalid);
}

TEST_F(Attack44, AnotherDevicesIdentityIsRefused)
{
    const test::SoftwareDevice thief(pki, "SN-2");
    // The victim's content, signed by the thief.
    const Bytes stolen =
        make_record(device.record_content(3), thief.identity.certificate, thief.identity.key.get(), {});
    EXPECT_EQ(refusal_of(by(stolen, pki.station_signing)), Reason::record_invalid);
    EXPECT_FALSE(open_device_record(stolen, trust, now));
    // The thief's certificate in the victim's content.
    auto content = device.record_content(3);
    content.set_identity_certificate(to_string(thief.identity.certificate.der()));
    EXPECT_EQ(refusal_of(by(thief.device_record(content), pki.station_signing)), Reason::record_invalid);
}

TEST_F(Attack44, ASignerInAnotherRoleIsRefused)
{
    EXPECT_EQ(refusal_of(by(device.device_record(3), pki.station_tls)), Reason::wrong_role);
    EXPECT_EQ(refusal_of(by(device.device_record(3), pki.archive)), Reason::wrong_role);
}

TEST_F(Attack44, AForeignManufacturersStationOrIdentityIsRefused)
{
    const test::TestPki foreign;
    EXPECT_EQ(refusal_of(by(device.device_record(3), foreign.station_signing)), Reason::untrusted_certificate);
    const test::SoftwareDevice stranger(foreign, "SN-1");
    EXPECT_EQ(refusal_of(by(stranger.device_record(3), pki.station_signing)), Reason::untrusted_certificate);
    EXPECT_FALSE(open_device_record(stranger.device_record(3), trust, now));
}

TEST_F(Attack44, ARevokedStationIsRefused)
{
    trust.crls.push_back(pki.crl(pki.station_signing.certificate));
    EXPECT_EQ(refusal_of(device.record(3)), Reason::certificate_revoked);
}

// Years later: the station's certificate has ended, its signature was good when it was made.
TEST_F(Records, AreJudgedAtTheirSigningTimeInARecovery)
{
    const auto station = pki.ca(pki::Role::station_signing, "Short-lived", {at(2020), at(2040)});
    const Bytes record = by(device.device_record(3), station);
    const auto late = open_record(record, trust, at(2050));
    ASSERT_FALSE(late);
    EXPECT_EQ(late.refusal().reason, Reason::certificate_expired);
    EXPECT_TRUE(open_record(record, trust, std::nullopt));

    const auto ended = pki.ca(pki::Role::station_signing, "Ended before", test::expired);
    EXPECT_FALSE(open_record(by(device.device_record(3), ended), trust, std::nullopt));
}

TEST_F(Records, WhatIsNotAsItMustBeIsRefused)
{
    const std::vector<std::pair<const char*, std::function<void(RecordContent&)>>> cases{
        {"version", [](auto& c) { c.set_version(2); }},
        {"chip", [](auto& c) { c.set_chip_identifier(std::string(64, 'b')); }},
        {"no chip", [](auto& c) { c.clear_chip_identifier(); }},
        {"even sequence", [](auto& c) { c.set_sequence(4); }},
        {"no sequence", [](auto& c) { c.clear_sequence(); }},
        {"no identity", [](auto& c) { c.clear_identity_certificate(); }},
        {"no sealed secret", [](auto& c) { c.clear_sealed_secret(); }},
        {"no outer wrap", [](auto& c) { c.mutable_sealed_secret()->set_seed(std::string(2, '\0')); }},
        {"no backup package", [](auto& c) { c.clear_backup_package(); }},
        {"unknown field", [](auto& c) { c.mutable_unknown_fields()->append("\x78\x01"); }},
        {"unknown field inside",
         [](auto& c) { c.mutable_sealed_secret()->mutable_unknown_fields()->append("\x78\x01"); }},
    };
    for (const auto& [what, change] : cases) {
        auto content = device.record_content(3);
        change(content);
        EXPECT_EQ(refusal_of(by(device.device_record(content), pki.station_signing)), Reason::record_invalid) << what;
    }
}

TEST_F(Records, ASealedSecretOfAnotherTemplateIsRefused)
{
    auto content = device.record_content(3);
    auto object = structures::unmarshal<TPM2B_PUBLIC>(as_bytes(content.sealed_secret().object())).or_throw();
    object.publicArea.authPolicy.size = 0;
    object.publicArea.objectAttributes |= TPMA_OBJECT_USERWITHAUTH;
    object.size = 0;
    content.mutable_sealed_secret()->set_object(to_string(structures::marshal(object)));
    EXPECT_EQ(refusal_of(by(device.device_record(content), pki.station_signing)), Reason::record_invalid);
}

// Nothing rides along unsigned, either.
TEST_F(Records, ACertificateThatNobodyNeedsIsRefused)
{
    const test::SoftwareDevice other(pki, "SN-2");
    const auto& station = pki.station_signing;
    const Bytes record =
        countersign(device.device_record(3), station.certificate, station.key.get(), {other.identity.certificate});
    EXPECT_EQ(refusal_of(record), Reason::record_invalid);
}

TEST_F(Attack19Records, AChangedByteAnywhereIsRefused)
{
    const Bytes record = device.record(3);
    const auto found = std::ranges::search(record, device_content(record));
    const auto begin = static_cast<std::size_t>(found.begin() - record.begin()), end = begin + found.size();
    ASSERT_FALSE(found.empty());
    // The content is one string under one digest: a sample of it does, to be quick.
    for (std::size_t i = 0; i < record.size(); i += i >= begin && i + 16 < end ? 16 : 1) {
        Bytes changed = record;
        changed[i] ^= 1U << (i % 8);
        ASSERT_TRUE(refusal_of(changed)) << "byte " << i << " of " << record.size();
    }
}

TEST_F(Attack19Records, ATruncatedOrLongerRecordIsRefused)
{
    Bytes record = device.record(3);
    EXPECT_TRUE(refusal_of(BytesView(record).first(record.size() - 1)));
    record.push_back(0);
    EXPECT_TRUE(refusal_of(record));
    EXPECT_TRUE(refusal_of({}));
    EXPECT_TRUE(refusal_of(Bytes(max_record + 1)));
}

TEST_F(Records, TheStorageKeyIsNowhereInThem)
{
    const Bytes record = device.record(3);
    for (const auto& coordinate : {device.storage_key.unique.ecc.x, device.storage_key.unique.ecc.y})
        EXPECT_TRUE(std::ranges::search(record, structures::view(coordinate)).empty());
}

// The identity certificate ties the identity to the chip, and stands in the public record: stock tools check both.
TEST_F(B2, StockToolsCheckARecordAndItsIdentity)
{
    const test::TemporaryDirectory files;
    write_file(files / "record", device.record(3));
    write_file(files / "trust.pem", pki.trust_pem());
    const auto verified = test::run({"openssl", "cms", "-verify", "-inform", "DER", "-in", files / "record", "-CAfile",
                                     files / "trust.pem", "-purpose", "any", "-binary", "-out", files / "content",
                                     "-certsout", files / "certificates.pem"});
    ASSERT_EQ(verified.status, 0) << verified.err;
    RecordContent content;
    ASSERT_TRUE(content.ParseFromString(to_string(read_file(files / "content", max_record).value())));
    EXPECT_EQ(content.chip_identifier(), device.chip);

    write_file(files / "identity.der", to_bytes(content.identity_certificate()));
    const auto chain = test::run({"openssl", "verify", "-CAfile", files / "trust.pem", files / "identity.der"});
    EXPECT_EQ(chain.status, 0) << chain.out << chain.err;
    const auto shown = test::run({"openssl", "x509", "-in", files / "identity.der", "-noout", "-text"});
    EXPECT_NE(shown.out.find(device.chip), std::string::npos) << shown.out;
}

} // namespace
} // namespace imprint::package
