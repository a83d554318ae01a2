// SPDX-License-Identifier: Apache-2.0
// Certificates of data packages' pairs: what they are for, and that they are nobody else's.
#include "tests/support/test_pki.h"

#include <gtest/gtest.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

namespace imprint::pki {
namespace {

const test::TestPki& pki()
{
    static const test::TestPki pki;
    return pki;
}

Certificate data_key(const Bytes& spki, DataKeyUse use, const Issuer& issuer = pki().station_signing.issuer())
{
    return issue_data_key(issuer, spki, {"serial", "D-1"}, "tls.client", use, test::valid);
}

Certificate data_key(DataKeyUse use = DataKeyUse::sign) { return data_key(spki(generate_key("P-256").get()), use); }

std::optional<Reason> refused(const Certificate& leaf, Role role)
{
    const auto chain = verify(leaf, {pki().station_signing.certificate}, pki().trust(), role, test::now);
    return chain ? std::nullopt : std::optional(chain.refusal().reason);
}

std::string unit_of(const Certificate& certificate)
{
    std::array<char, 100> text{};
    const auto* subject = X509_get_subject_name(certificate.x509());
    X509_NAME_get_text_by_NID(subject, NID_organizationalUnitName, text.data(), text.size());
    return text.data();
}

TEST(DataKeyCertificates, B5_LeadToTheManufacturerAndNameTheDevice)
{
    for (const auto use : {DataKeyUse::sign, DataKeyUse::decrypt, DataKeyUse::agree})
        EXPECT_EQ(refused(data_key(use), Role::data_key), std::nullopt);
    const auto certificate = data_key();
    EXPECT_EQ(device_identity(certificate), (DeviceIdentity{"serial", "D-1"}));
    EXPECT_EQ(unit_of(certificate), "tls.client");
    EXPECT_FALSE(chip_identifier(certificate)) << "whoever sees it does not learn which chip";
}

TEST(DataKeyCertificates, B20_AreForTheOneUseOfTheirKey)
{
    const auto rsa = spki(Key(EVP_RSA_gen(3072)).get());
    const auto usage = [](const Certificate& certificate) { return X509_get_key_usage(certificate.x509()); };
    const auto client = [](const Certificate& certificate) {
        return X509_check_purpose(certificate.x509(), X509_PURPOSE_SSL_CLIENT, 0) == 1;
    };
    EXPECT_EQ(usage(data_key(rsa, DataKeyUse::sign)), KU_DIGITAL_SIGNATURE);
    EXPECT_EQ(usage(data_key(rsa, DataKeyUse::decrypt)), KU_KEY_ENCIPHERMENT);
    EXPECT_EQ(usage(data_key(DataKeyUse::agree)), KU_KEY_AGREEMENT);
    EXPECT_TRUE(client(data_key(rsa, DataKeyUse::sign)));
    EXPECT_FALSE(client(data_key(rsa, DataKeyUse::decrypt)));
    EXPECT_FALSE(client(data_key(DataKeyUse::agree)));
}

TEST(DataKeyCertificates, Attack01_PassForNoOtherRoleAndNoOtherForThem)
{
    const auto certificate = data_key();
    for (const auto role :
         {Role::checking_ca, Role::identity_ca, Role::station_signing, Role::station_tls, Role::archive, Role::central,
          Role::station_operator, Role::certified_central, Role::mirror, Role::device_identity, Role::module})
        EXPECT_EQ(refused(certificate, role), Reason::wrong_role) << role_name(role);
    EXPECT_EQ(refused(pki().module("D-1").certificate, Role::data_key), Reason::wrong_role);
    EXPECT_EQ(refused(pki().identity("D-1", std::string(64, 'a')).certificate, Role::data_key), Reason::wrong_role);
    EXPECT_EQ(refused(pki().station_tls.certificate, Role::data_key), Reason::wrong_role);
}

TEST(DataKeyCertificates, ComeFromAStationAndWithinItsScope)
{
    const auto key = spki(generate_key("P-256").get());
    EXPECT_EQ(refused(data_key(key, DataKeyUse::sign, pki().identity_ca.issuer()), Role::data_key), Reason::wrong_role);
    const auto narrow = pki().ca(Role::station_signing, "Narrow", test::valid, {{"serial", "E-0", "E-9"}});
    const auto foreign = data_key(key, DataKeyUse::sign, narrow.issuer());
    const auto chain = verify(foreign, {narrow.certificate}, pki().trust(), Role::data_key, test::now);
    ASSERT_FALSE(chain);
    EXPECT_EQ(chain.refusal().reason, Reason::identity_out_of_scope);
}

} // namespace
} // namespace imprint::pki
