// SPDX-License-Identifier: Apache-2.0
#include "daemon/pki/scope.h"

#include "daemon/pki/profile_asn1.h"
#include "tests/support/reason.h"
#include "tests/support/test_pki.h"

#include <gtest/gtest.h>
#include <openssl/x509v3.h>

namespace imprint::pki {
namespace {

using test::Certified;
using test::now;
using test::valid;

const Scope hundreds{{"serial", "SN-000100", "SN-000199"}, {"serial", "X1", "X9"}};

class Scopes : public testing::Test {
protected:
    std::optional<Reason> refusal(const Certified& issued, const std::string& serial) const
    {
        const auto verdict = check_scope(issued.certificate, {"serial", serial});
        return verdict ? std::nullopt : std::optional(verdict.refusal().reason);
    }
    // A station's certificate with these bytes as its scope; nobody signed it anew.
    Certificate with_scope(const Bytes& der, int times = 1) const
    {
        X509* x509 = X509_dup(pki.station_signing.certificate.x509());
        Certificate out(x509);
        const Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> value(ASN1_OCTET_STRING_new());
        ASN1_OCTET_STRING_set(value.get(), der.data(), static_cast<int>(der.size()));
        const Owned<ASN1_OBJECT, ASN1_OBJECT_free> oid(OBJ_txt2obj(scope_oid, 1));
        const Owned<X509_EXTENSION, X509_EXTENSION_free> extension(
            X509_EXTENSION_create_by_OBJ(nullptr, oid.get(), 0, value.get()));
        for (int i = 0; i < times; ++i)
            X509_add_ext(x509, extension.get(), -1);
        return out;
    }
    test::TestPki pki;
    Certified station = pki.ca(Role::station_signing, "Station 2", valid, hundreds);
    Certified issuer = pki.ca(Role::identity_ca, "Station 2 Identity CA", valid, hundreds);
};

TEST_F(Scopes, A28_AnIdentityIsInOrOut)
{
    for (const auto* in : {"SN-000100", "SN-000150", "SN-000199", "X1", "X5"})
        EXPECT_EQ(refusal(station, in), std::nullopt) << in;
    for (const auto* out : {"SN-000099", "SN-000200", "SN-00015", "SN-0001500", "sn-000150", "X", "Y1", "X:"})
        EXPECT_EQ(refusal(station, out), Reason::identity_out_of_scope) << out;
    EXPECT_EQ(refusal(pki.station_signing, "anything"), std::nullopt) << "without a scope";
    EXPECT_FALSE(check_scope(station.certificate, {"imei", "SN-000150"})) << "another kind";
}

TEST_F(Scopes, A28_DevicesCertificatesAreHeldAgainstTheirIssuersScope)
{
    const auto module = [&](const std::string& serial) {
        const ModuleBinding binding{Bytes(32, 0x11), 3, Bytes(34, 0x22), Bytes(34, 0x33), std::string(64, 'a')};
        return issue_module(station.issuer(), spki(generate_key("P-256").get()), {"serial", serial}, binding, valid);
    };
    const auto identity = [&](const std::string& serial) {
        return issue_identity(issuer.issuer(), spki(generate_key("P-256").get()), {"serial", serial},
                              std::string(64, 'a'));
    };
    const auto verdict = [&](const Certificate& leaf, Role role) {
        const auto chain = verify(leaf, {station.certificate, issuer.certificate}, pki.trust(), role, now);
        return chain ? "accepted" : std::string(name(chain.refusal().reason));
    };
    EXPECT_EQ(verdict(module("SN-000150"), Role::module), "accepted");
    EXPECT_EQ(verdict(module("SN-000250"), Role::module), "identity-out-of-scope");
    EXPECT_EQ(verdict(identity("SN-000150"), Role::device_identity), "accepted");
    EXPECT_EQ(verdict(identity("SN-000250"), Role::device_identity), "identity-out-of-scope");
}

TEST_F(Scopes, A28_AnExtensionThatCannotBeReadLetsNothingThrough)
{
    const auto good = station.certificate.extension(scope_oid);
    ASSERT_FALSE(good.empty());
    const DeviceIdentity identity{"serial", "SN-000150"};
    EXPECT_TRUE(check_scope(with_scope(good), identity));
    EXPECT_FALSE(check_scope(with_scope(good, 2), identity)) << "twice";
    EXPECT_FALSE(check_scope(with_scope({}), identity)) << "empty";
    EXPECT_FALSE(check_scope(with_scope({0x30, 0x00}), identity)) << "no range";
    for (std::size_t i = 0; i < good.size(); ++i) {
        Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(i));
        EXPECT_FALSE(check_scope(with_scope(cut), identity)) << i;
    }
    Bytes more = good;
    more.push_back(0);
    EXPECT_FALSE(check_scope(with_scope(more), identity)) << "a trailing byte";
}

TEST_F(Scopes, RangesAreWrittenInOneWay)
{
    EXPECT_EQ(parse_range("serial:SN000001..SN009999"), (IdentityRange{"serial", "SN000001", "SN009999"}));
    EXPECT_EQ(parse_range("serial:a:..a:"), (IdentityRange{"serial", "a:", "a:"}));
    for (const auto* text : {"", "serial", "serial:", "serial:..", "serial:A", "serial:A..", "serial:B..A",
                             "serial:A..BB", "colour:A..B", "A..B", "serial:A.B", "serial:A...B"})
        EXPECT_THROW(parse_range(text), Error) << text;
}

TEST_F(Scopes, Attack46_TheBundleCarriesTheCheckingKeysRevocations)
{
    auto pem = pki.trust_pem();
    const auto crl = pki.crl(station.certificate).pem();
    pem.insert(pem.end(), crl.begin(), crl.end());
    const auto trust = trust_from_pem(pem);
    ASSERT_EQ(trust.crls.size(), 1U);
    const auto chain = verify(station.certificate, {}, trust, Role::station_signing, now);
    ASSERT_FALSE(chain);
    EXPECT_EQ(chain.refusal().reason, Reason::certificate_revoked);
    EXPECT_TRUE(verify(pki.station_signing.certificate, {}, trust, Role::station_signing, now));
    EXPECT_EQ(revoked_by(trust.crls.front()).front().serial, station.certificate.serial());
    EXPECT_EQ(number_of(trust.crls.front()), 1U);
    pem[pem.size() - 60] ^= 1;
    pem.resize(pem.size() - 40);
    EXPECT_THROW(trust_from_pem(pem), Error);
}

} // namespace
} // namespace imprint::pki
