// SPDX-License-Identifier: Apache-2.0
// Names, Qualified Names and the chip identifier, compared with what a TPM and the openssl tool say.
#include "daemon/structures/name.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/templates.h"
#include "tests/structures/chip.h"

#include <gtest/gtest.h>

namespace imprint::structures {
namespace {

using Kind = test::SoftwareTpm::Kind;

void expect_names(const Object& object)
{
    EXPECT_EQ(name_of(object.area), object.name);
    EXPECT_EQ(qualified_name_of_primary(TPM2_RH_ENDORSEMENT, object.area), object.qualified_name);
}

TEST(Name, OfPrimariesIsTheTpms)
{
    Chip chip;
    for (const TPMT_PUBLIC& area : {storage_key_template(), identity_key_template()}) {
        const Object object = chip.create_primary(ESYS_TR_RH_ENDORSEMENT, area);
        expect_names(object);
        chip.flush(object.tr);
    }
}

TEST(Name, OfEveryEndorsementKeyIsTheTpms)
{
    Chip chip;
    for (const EkTemplate& ek : ek_templates()) {
        const Object object = chip.create_primary(ESYS_TR_RH_ENDORSEMENT, ek.area);
        expect_names(object);
        EXPECT_EQ(ek_template_of(object.area), &ek) << ek.name;
        chip.flush(object.tr);
    }
}

TEST(Name, OfAChildIsTheTpms)
{
    Chip chip;
    const Object storage = chip.storage_key();
    const ModuleKey key = chip.create_module_key(storage.tr, module_key_template(Bytes(34), 1));
    EXPECT_EQ(name_of(key.object.area), key.object.name);
    EXPECT_EQ(qualified_name_of_child(storage.qualified_name, key.object.area), key.object.qualified_name);
}

TEST(Name, OfTheEpochIndexIsTheTpms)
{
    Chip chip;
    chip.define_epoch();
    const TPMS_NV_PUBLIC area = chip.epoch_area();
    TPM2B_NAME* name = nullptr;
    check(Esys_NV_ReadPublic(chip.esys(), chip.epoch(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, nullptr, &name),
          "NV_ReadPublic");
    EXPECT_TRUE(equal(name_of(area), view(take(name))));
    EXPECT_EQ(name_of(area), name_of(epoch_index(epoch_handle, true)));
    EXPECT_TRUE(is_epoch_index(area));
}

TEST(Name, IsEmptyForAnUnknownHash)
{
    TPMT_PUBLIC area = identity_key_template();
    area.nameAlg = TPM2_ALG_SHA1;
    EXPECT_TRUE(name_of(area).empty());
    EXPECT_TRUE(qualified_name_of_primary(TPM2_RH_ENDORSEMENT, area).empty());
}

TEST(ChipIdentifier, IsWhatStockToolsCompute)
{
    Chip chip(Kind::manufactured);
    const test::TemporaryDirectory directory;
    for (const auto& [handle, index] : {std::pair{0x81010001, 0x01C00002}, std::pair{0x81010016, 0x01C00016}}) {
        const Object ek = chip.at(static_cast<TPM2_HANDLE>(handle));
        const std::string file = directory / "ek.der";
        write_file(file, chip.read_nv(static_cast<TPM2_HANDLE>(index)));
        const test::Finished tools = test::run({"sh", "-c",
                                                "openssl x509 -inform DER -in \"$0\" -noout -pubkey"
                                                " | openssl pkey -pubin -outform DER | sha256sum",
                                                file});
        const Bytes spki = to_spki(ek.area).or_throw();
        EXPECT_EQ(chip_identifier(spki), tools.out.substr(0, 64)) << tools.err;
        EXPECT_TRUE(same_key(ek.area, spki));
    }
}

TEST(ChipIdentifier, HasOneForm)
{
    EXPECT_TRUE(is_chip_identifier(std::string(64, 'a')));
    EXPECT_FALSE(is_chip_identifier(std::string(64, 'A')));
    EXPECT_FALSE(is_chip_identifier(std::string(63, 'a')));
    EXPECT_FALSE(is_chip_identifier(std::string(64, '/')));
}

TEST(Spki, RefusesWhatIsNoKey)
{
    TPMT_PUBLIC area = identity_key_template(); // its unique field is a label, no point
    EXPECT_EQ(to_spki(area).refusal().reason, Reason::malformed_message);
    area.parameters.eccDetail.curveID = TPM2_ECC_NIST_P521;
    EXPECT_EQ(to_spki(area).refusal().reason, Reason::capability_missing);
    EXPECT_EQ(to_spki(sealed_secret_template()).refusal().reason, Reason::capability_missing);
    EXPECT_EQ(to_spki(ek_templates()[2].area).refusal().reason, Reason::malformed_message); // a modulus of zeros
}

TEST(Spki, SameKeyTakesTheKeyAlone)
{
    Chip chip;
    const Object one = chip.storage_key(), other = chip.identity_key();
    Bytes spki = to_spki(one.area).or_throw();
    EXPECT_TRUE(same_key(one.area, spki));
    EXPECT_FALSE(same_key(other.area, spki));
    spki.push_back(0);
    EXPECT_FALSE(same_key(one.area, spki));
}

} // namespace
} // namespace imprint::structures
