// SPDX-License-Identifier: Apache-2.0
#include "tests/support/test_pki.h"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/x509v3.h>

namespace imprint::pki {
namespace {

using test::at;
using test::now;
using test::TestPki;

class Verify : public testing::Test {
protected:
    static const TestPki& pki()
    {
        static const TestPki pki;
        return pki;
    }
    static const TestPki& foreign()
    {
        static const TestPki pki; // the same names
        return pki;
    }
    static std::optional<Reason> refused(const Certificate& leaf, const Certificates& untrusted, Role role,
                                         const Trust& trust = pki().trust(), Time time = now)
    {
        const auto chain = verify(leaf, untrusted, trust, role, time);
        return chain ? std::nullopt : std::optional(chain.refusal().reason);
    }
};

TEST_F(Verify, A28_AcceptsEveryRoleBelowTheCheckingKey)
{
    const auto& p = pki();
    const auto module = p.module("D-1");
    const auto identity = p.identity("D-1", std::string(64, 'a'));
    EXPECT_EQ(refused(p.root.certificate, {}, Role::checking_ca), std::nullopt);
    EXPECT_EQ(refused(p.identity_ca.certificate, {}, Role::identity_ca), std::nullopt);
    EXPECT_EQ(refused(p.station_signing.certificate, {}, Role::station_signing), std::nullopt);
    EXPECT_EQ(refused(p.station_tls.certificate, {}, Role::station_tls), std::nullopt);
    EXPECT_EQ(refused(p.archive.certificate, {}, Role::archive), std::nullopt);
    EXPECT_EQ(refused(p.mirror("M").certificate, {}, Role::mirror), std::nullopt);
    EXPECT_EQ(refused(module.certificate, {p.station_signing.certificate}, Role::module), std::nullopt);
    EXPECT_EQ(refused(identity.certificate, {}, Role::device_identity), std::nullopt);
}

TEST_F(Verify, A28_GivesTheChainLeafFirst)
{
    const auto module = pki().module("D-1");
    const auto chain =
        verify(module.certificate, {pki().station_signing.certificate}, pki().trust(), Role::module, now);
    ASSERT_TRUE(chain);
    EXPECT_EQ(*chain, (Certificates{module.certificate, pki().station_signing.certificate, pki().root.certificate}));
}

TEST_F(Verify, Attack01_A28_RefusesAnotherManufacturersTwins)
{
    const auto& f = foreign();
    const auto module = f.module("D-1");
    EXPECT_EQ(refused(f.station_signing.certificate, {f.root.certificate}, Role::station_signing),
              Reason::untrusted_certificate);
    EXPECT_EQ(refused(f.station_tls.certificate, {f.root.certificate}, Role::station_tls),
              Reason::untrusted_certificate);
    EXPECT_EQ(refused(f.archive.certificate, {f.root.certificate}, Role::archive), Reason::untrusted_certificate);
    EXPECT_EQ(refused(module.certificate, {pki().station_signing.certificate}, Role::module),
              Reason::untrusted_certificate);
    EXPECT_EQ(refused(f.identity("D-1", std::string(64, 'a')).certificate, {}, Role::device_identity),
              Reason::untrusted_certificate);
}

TEST_F(Verify, Attack01_RefusesEveryOtherRole)
{
    const auto& p = pki();
    const std::vector<std::pair<Certificate, Role>> all{
        {p.root.certificate, Role::checking_ca},
        {p.identity_ca.certificate, Role::identity_ca},
        {p.station_signing.certificate, Role::station_signing},
        {p.station_tls.certificate, Role::station_tls},
        {p.archive.certificate, Role::archive},
        {p.mirror("M").certificate, Role::mirror},
        {p.station_operator("O").certificate, Role::station_operator},
        {p.module("D-1").certificate, Role::module},
        {p.identity("D-1", std::string(64, 'a')).certificate, Role::device_identity},
    };
    for (const auto& [certificate, own] : all)
        for (const auto& [unused, role] : all)
            EXPECT_EQ(refused(certificate, {p.station_signing.certificate}, role),
                      own == role ? std::nullopt : std::optional(Reason::wrong_role))
                << role_name(own) << " as " << role_name(role);
}

TEST_F(Verify, Attack01_RefusesDeviceCertificatesOfTheWrongCa)
{
    const auto& p = pki();
    const auto key = generate_key("P-256");
    const DeviceIdentity identity{"serial", "D-1"};
    const ModuleBinding binding{Bytes(32), 1, Bytes(34), Bytes(34), std::string(64, 'a')};
    const auto module = issue_module(p.identity_ca.issuer(), spki(key.get()), identity, binding, test::valid);
    const auto of_station = issue_identity(p.station_signing.issuer(), spki(key.get()), identity, std::string(64, 'a'));
    const auto of_root = issue_identity(p.root.issuer(), spki(key.get()), identity, std::string(64, 'a'));
    EXPECT_EQ(refused(module, {}, Role::module), Reason::wrong_role);
    EXPECT_EQ(refused(of_station, {p.station_signing.certificate}, Role::device_identity), Reason::wrong_role);
    EXPECT_EQ(refused(of_root, {}, Role::device_identity), Reason::wrong_role);
}

TEST_F(Verify, Attack01_RefusesWhatIsExpiredOrNotYetValid)
{
    const auto& p = pki();
    EXPECT_EQ(refused(p.ca(Role::station_signing, "S", test::expired).certificate, {}, Role::station_signing),
              Reason::certificate_expired);
    EXPECT_EQ(refused(p.server(Role::station_tls, "S", test::expired).certificate, {}, Role::station_tls),
              Reason::certificate_expired);
    EXPECT_EQ(refused(p.server(Role::archive, "A", test::not_yet_valid).certificate, {}, Role::archive),
              Reason::certificate_not_yet_valid);
    EXPECT_EQ(refused(p.module("D", test::not_yet_valid).certificate, {p.station_signing.certificate}, Role::module),
              Reason::certificate_not_yet_valid);
    EXPECT_EQ(refused(p.station_tls.certificate, {}, Role::station_tls, p.trust(), at(2101)),
              Reason::certificate_expired);
}

TEST_F(Verify, Attack37_AcceptsIdentitiesWhateverTheClockSaysBelow)
{
    const auto identity = pki().identity("D-1", std::string(64, 'a')).certificate;
    EXPECT_EQ(refused(identity, {}, Role::device_identity, pki().trust(), at(1970)), std::nullopt);
    EXPECT_EQ(refused(identity, {}, Role::device_identity, pki().trust(), at(2101)), Reason::certificate_expired);
    EXPECT_EQ(refused(pki().station_tls.certificate, {}, Role::station_tls, pki().trust(), at(1970)),
              Reason::certificate_not_yet_valid);
}

TEST_F(Verify, Attack01_Attack46_RefusesWhatIsRevoked)
{
    const auto& p = pki();
    auto trust = p.trust();
    trust.crls.push_back(p.crl(p.station_tls.certificate));
    EXPECT_EQ(refused(p.station_tls.certificate, {}, Role::station_tls, trust), Reason::certificate_revoked);
    EXPECT_EQ(refused(p.archive.certificate, {}, Role::archive, trust), std::nullopt);

    const auto module = p.module("D-1");
    const auto twin = p.module("D-1");
    const Certificates chain{p.station_signing.certificate};
    trust.crls = {p.station_crl(twin.certificate)};
    EXPECT_EQ(refused(twin.certificate, chain, Role::module, trust), Reason::certificate_revoked);
    EXPECT_EQ(refused(module.certificate, chain, Role::module, trust), std::nullopt);

    trust.crls = {p.crl(p.station_signing.certificate)};
    EXPECT_EQ(refused(module.certificate, chain, Role::module, trust), Reason::certificate_revoked);
}

TEST_F(Verify, Attack01_AStaleRevocationListStillRevokes)
{
    const auto& p = pki();
    auto trust = p.trust();
    trust.crls = {issue_crl(p.root.issuer(), 1, {{p.station_tls.certificate.serial(), at(2020)}}, test::expired)};
    EXPECT_EQ(refused(p.station_tls.certificate, {}, Role::station_tls, trust), Reason::certificate_revoked);
    EXPECT_EQ(refused(p.archive.certificate, {}, Role::archive, trust), std::nullopt);
}

TEST_F(Verify, ARevocationListOfATwinIsNotTakenForItsIssuers)
{
    auto trust = pki().trust();
    trust.crls = {foreign().crl(pki().station_tls.certificate)};
    EXPECT_EQ(refused(pki().station_tls.certificate, {}, Role::station_tls, trust), Reason::untrusted_certificate);
}

TEST_F(Verify, Attack01_RefusesASelfMadeIntermediate)
{
    const auto& p = pki();
    const auto key = generate_key("P-256");
    const auto module = p.module("D-1"); // no CA, but its owner signs all the same
    const auto forged = issue_module(module.issuer(), spki(key.get()), {"serial", "D-2"},
                                     {Bytes(32), 1, {}, {}, std::string(64, 'a')}, test::valid);
    EXPECT_EQ(refused(forged, {module.certificate, p.station_signing.certificate}, Role::module),
              Reason::untrusted_certificate);

    const auto below = issue_ca(p.station_signing.issuer(), spki(key.get()), Role::station_signing, "S", test::valid);
    const auto leaf = issue_module({below, key.get()}, spki(key.get()), {"serial", "D-2"},
                                   {Bytes(32), 1, {}, {}, std::string(64, 'a')}, test::valid);
    EXPECT_EQ(refused(below, {p.station_signing.certificate}, Role::station_signing), Reason::wrong_role);
    EXPECT_EQ(refused(leaf, {below, p.station_signing.certificate}, Role::module), Reason::untrusted_certificate);
}

// A chain of `length` checking CAs, each signed by the one before; the last comes first.
Certificates checking_chain(const TestPki& p, std::size_t length)
{
    Certificates chain{p.root.certificate};
    Key signer = test::share(p.root.key);
    while (chain.size() < length) {
        auto key = generate_key("P-256");
        const auto self = issue_checking_ca(key.get(), "CA " + std::to_string(chain.size()), test::valid);
        X509* cross = X509_dup(self.x509());
        X509_set_issuer_name(cross, X509_get_subject_name(chain.front().x509()));
        const Owned<AUTHORITY_KEYID, AUTHORITY_KEYID_free> id(AUTHORITY_KEYID_new());
        id->keyid = ASN1_OCTET_STRING_dup(X509_get0_subject_key_id(chain.front().x509()));
        X509_add1_ext_i2d(cross, NID_authority_key_identifier, id.get(), 0, X509V3_ADD_DEFAULT);
        X509_sign(cross, signer.get(), EVP_sha256());
        chain.insert(chain.begin(), Certificate(cross));
        signer = std::move(key);
    }
    return chain;
}

TEST_F(Verify, AcceptsANewCheckingCaSignedByTheOldOne)
{
    const auto chain = checking_chain(pki(), 2);
    EXPECT_EQ(refused(chain.front(), chain, Role::checking_ca), std::nullopt);
}

TEST_F(Verify, Attack29_RefusesAChainThatIsTooDeep)
{
    const auto eight = checking_chain(pki(), 8);
    const auto nine = checking_chain(pki(), 9);
    EXPECT_EQ(refused(eight.front(), eight, Role::checking_ca), std::nullopt);
    const auto refusal = verify(nine.front(), nine, pki().trust(), Role::checking_ca, now);
    ASSERT_FALSE(refusal);
    EXPECT_EQ(refusal.refusal().reason, Reason::untrusted_certificate);
    EXPECT_EQ(refused(eight.front(), Certificates(17, pki().archive.certificate), Role::checking_ca),
              Reason::untrusted_certificate);
}

TEST_F(Verify, Attack29_RefusesACurveWithoutAName)
{
    auto key = generate_key("P-256");
    ASSERT_EQ(EVP_PKEY_set_utf8_string_param(key.get(), OSSL_PKEY_PARAM_EC_ENCODING, "explicit"), 1);
    const auto decorated = pki().server(Role::station_tls, "S").certificate;
    X509* x509 = X509_dup(decorated.x509());
    X509_set_pubkey(x509, key.get());
    X509_sign(x509, pki().root.key.get(), EVP_sha384());
    const auto certificate = Certificate::from_der(Certificate(x509).der());
    ASSERT_TRUE(certificate);
    EXPECT_EQ(refused(*certificate, {}, Role::station_tls), Reason::untrusted_certificate);
    EXPECT_EQ(refused(pki().archive.certificate, {*certificate}, Role::archive), Reason::untrusted_certificate);
    EXPECT_THROW(issue_server(pki().root.issuer(), spki(key.get()), Role::station_tls, "S", {"s"}, test::valid), Error);
}

TEST_F(Verify, TrustComesFromAPemBundle)
{
    const auto trust = trust_from_pem(pki().trust_pem());
    EXPECT_EQ(trust.anchors, Certificates{pki().root.certificate});
    EXPECT_EQ(trust.intermediates, Certificates{pki().identity_ca.certificate});
    EXPECT_EQ(anchor_digest(trust).size(), 32U);
    EXPECT_NE(anchor_digest(trust), anchor_digest(foreign().trust()));
    EXPECT_THROW(trust_from_pem(to_pem({pki().identity_ca.certificate})), Error);
    EXPECT_THROW(trust_from_pem({}), Error);
    auto broken = pki().trust_pem();
    broken[100] ^= 1;
    EXPECT_THROW(trust_from_pem(broken), Error);
}

} // namespace
} // namespace imprint::pki
