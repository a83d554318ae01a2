// SPDX-License-Identifier: Apache-2.0
// Endorsement keys: found, told apart, and used to open credentials.
#include "tests/tpm/fixture.h"

#include "daemon/structures/wrap.h"
#include "daemon/tpm/ek_certificate.h"

namespace imprint::test {

namespace {

using tpm::SecurityModule;

class Manufactured : public PreparedTest {
protected:
    Manufactured()
        : PreparedTest(SoftwareTpm::Kind::manufactured)
    {
    }
};

structures::Credential credential_for(const TPMT_PUBLIC& ek, BytesView name, std::string_view secret)
{
    return structures::make_credential(ek, name, Secret(as_bytes(secret))).or_throw();
}

TEST_F(Manufactured, BothEndorsementKeysAreFoundByTheirCertificates)
{
    const auto& keys = module->endorsement_keys();
    ASSERT_EQ(keys.size(), 2U);
    EXPECT_EQ(structures::ek_template_of(keys[0].area)->name, "L-1");
    EXPECT_EQ(structures::ek_template_of(keys[1].area)->name, "H-3");
    for (const auto& key : keys) {
        EXPECT_EQ(key.chip_identifier, structures::chip_identifier(structures::to_spki(key.area).or_throw()));
        EXPECT_FALSE(key.certificate.empty());
    }
    EXPECT_EQ(commands([&] { module->endorsement_keys(); }), 0U);
}

TEST_F(Manufactured, CredentialsOpenWithRsa2048AndP384)
{
    const auto name = structures::name_of(module->identity_key());
    for (const auto& key : module->endorsement_keys()) {
        const auto activate = [&] {
            const auto secret = module->activate_credential(key, credential_for(key.area, name, "the secret"));
            EXPECT_EQ(as_text(secret.view()), "the secret");
        };
        activate();
        const bool policy_b = structures::ek_template_of(key.area)->policy_b;
        EXPECT_EQ(commands(activate), policy_b ? 4U : 3U);
    }
    EXPECT_EQ(leaked(), 0U);
}

TEST_F(Manufactured, KeysAreRecreatedAfterClear)
{
    const auto chip = module->endorsement_keys().front().chip_identifier;
    tpm.clear();
    module = open();
    module->prepare(anchor);
    ASSERT_EQ(module->endorsement_keys().size(), 2U);
    EXPECT_EQ(module->endorsement_keys().front().chip_identifier, chip);
    const auto name = structures::name_of(module->identity_key());
    for (const auto& key : module->endorsement_keys())
        EXPECT_EQ(as_text(module->activate_credential(key, credential_for(key.area, name, "again")).view()), "again");
    EXPECT_EQ(leaked(), 0U);
}

TEST_F(Manufactured, CredentialsForAnotherKeyAreRefused)
{
    const auto& key = module->endorsement_keys().front();
    const auto other = structures::name_of(module->storage_key());
    EXPECT_EQ(reason_of([&] { module->activate_credential(key, credential_for(key.area, other, "secret")); }),
              Reason::tpm_refused);
    EXPECT_EQ(leaked(), 0U);
}

TEST_F(Manufactured, CertificatesAreReadAsTheirMakersLeaveThem)
{
    const auto& key = module->endorsement_keys().front();
    auto padded = key.certificate;
    padded.resize(padded.size() + 300, 0xff);
    EXPECT_EQ(tpm::parse_ek_certificate(padded)->der, key.certificate);
    padded.insert(padded.end(), key.certificate.begin(), key.certificate.end());
    EXPECT_EQ(tpm::split_certificates(padded).size(), 2U);
    EXPECT_FALSE(tpm::parse_ek_certificate(BytesView(key.certificate).first(100)));

    // rsaEncryption becomes id-RSAES-OAEP, as in the certificates of some makers.
    auto spki = tpm::parse_ek_certificate(key.certificate)->spki;
    const Bytes rsa_encryption{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};
    *(std::ranges::search(spki, rsa_encryption).end() - 1) = 7;
    const auto area = tpm::fill_in(structures::ek_template_of(key.area)->area, spki);
    ASSERT_TRUE(area);
    EXPECT_EQ(structures::name_of(*area), structures::name_of(key.area));
    EXPECT_FALSE(tpm::fill_in(structures::ek_templates()[0].area, spki)); // an ECC template
}

class Bare : public PreparedTest { };

TEST_F(Bare, AnEndorsementKeyIsMadeFromItsTemplate)
{
    const auto& keys = module->endorsement_keys();
    ASSERT_EQ(keys.size(), 1U);
    EXPECT_EQ(structures::ek_template_of(keys[0].area)->name, "L-2");
    EXPECT_TRUE(keys[0].certificate.empty());
    EXPECT_EQ(leaked(), 0U);
    const auto name = structures::name_of(module->identity_key());
    const auto activate = [&] {
        EXPECT_EQ(as_text(module->activate_credential(keys[0], credential_for(keys[0].area, name, "bare")).view()),
                  "bare");
    };
    activate();
    EXPECT_EQ(commands(activate), 5U);
    EXPECT_EQ(leaked(), 0U);
}

TEST_F(Bare, CapabilitiesAreRead)
{
    const auto& capabilities = module->capabilities();
    EXPECT_EQ(capabilities.vendor, "IBM");
    EXPECT_EQ(std::ranges::count(capabilities.firmware, '.'), 3);
    EXPECT_EQ(capabilities.nv_buffer_max, 1024U);
    EXPECT_THAT(capabilities.algorithms,
                ::testing::ElementsAre("rsa2048", "rsa3072", "p256", "p384", "hmac", "sha384"));
    tpm.restart();
    EXPECT_GT(open()->capabilities().reset_count, capabilities.reset_count);
}

} // namespace

} // namespace imprint::test
