// SPDX-License-Identifier: Apache-2.0
// Credentials made without a TPM are opened by the endorsement key and the object that they are for, only.
#include "daemon/structures/marshal.h"
#include "daemon/structures/templates.h"
#include "daemon/structures/wrap.h"
#include "tests/structures/chip.h"
#include "tests/structures/software_key.h"

#include <gtest/gtest.h>

namespace imprint::structures {
namespace {

using Kind = test::SoftwareTpm::Kind;

void expect_activated(Chip& chip, const Object& ek, std::string_view name)
{
    const EkTemplate* found = ek_template_of(ek.area);
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->name, name);
    const Object identity = chip.identity_key();
    const Secret secret = random_secret(32);
    const Credential credential = make_credential(ek.area, identity.name, secret).or_throw();
    EXPECT_TRUE(equal(chip.activate(ek, found->policy_b, identity, credential).view(), secret.view()));
    chip.flush(identity.tr);
}

TEST(Credential, IsActivatedByTheEksOfAManufacturedTpm)
{
    Chip chip(Kind::manufactured);
    expect_activated(chip, chip.at(0x81010001), "L-1");
    expect_activated(chip, chip.at(0x81010016), "H-3");
}

TEST(Credential, IsActivatedByAnEkOfEveryTemplate)
{
    Chip chip;
    for (const EkTemplate& ek : ek_templates()) {
        const Object object = chip.create_primary(ESYS_TR_RH_ENDORSEMENT, ek.area);
        expect_activated(chip, object, ek.name);
        chip.flush(object.tr);
    }
}

TEST(Credential, Attack10_NothingOfTwoCredentialsIsTheSame)
{
    Chip chip;
    const Bytes name(34, 1);
    const Secret secret = random_secret(32);
    for (const EkTemplate& ek : ek_templates()) {
        const Object object = chip.create_primary(ESYS_TR_RH_ENDORSEMENT, ek.area);
        const Credential one = make_credential(object.area, name, secret).or_throw();
        const Credential other = make_credential(object.area, name, secret).or_throw();
        EXPECT_TRUE(differ_throughout(one.id_object, other.id_object)) << ek.name;
        EXPECT_TRUE(differ_throughout(one.secret, other.secret)) << ek.name;
        chip.flush(object.tr);
    }
}

TEST(Credential, IsForOneObjectAndOneEk)
{
    Chip chip;
    const EkTemplate& l2 = ek_templates()[0];
    const Object ek = chip.create_primary(ESYS_TR_RH_ENDORSEMENT, l2.area), identity = chip.identity_key();
    const Secret secret = random_secret(32);
    Bytes other_name = identity.name;
    other_name.back() ^= 1;
    const Credential other_object = make_credential(ek.area, other_name, secret).or_throw();
    EXPECT_THROW(chip.activate(ek, false, identity, other_object), std::runtime_error);
    Chip other_chip;
    const Object other_ek = other_chip.create_primary(ESYS_TR_RH_ENDORSEMENT, l2.area);
    const Credential foreign = make_credential(other_ek.area, identity.name, secret).or_throw();
    EXPECT_THROW(chip.activate(ek, false, identity, foreign), std::runtime_error);
}

TEST(Credential, AnotherKindOfKeyIsRefused)
{
    const Bytes name(34);
    const Secret secret = random_secret(32);
    const auto reason = [&](const TPMT_PUBLIC& ek) { return make_credential(ek, name, secret).refusal().reason; };
    TPMT_PUBLIC altered = ek_templates()[0].area;
    EXPECT_EQ(reason(altered), Reason::malformed_message); // zeros are no point
    altered.objectAttributes &= ~TPMA_OBJECT_RESTRICTED;
    EXPECT_EQ(reason(altered), Reason::capability_missing);
    EXPECT_EQ(reason(storage_key_template()), Reason::capability_missing);
    EXPECT_EQ(reason({}), Reason::capability_missing);
}

TEST(Credential, NoNameOrNoSecretIsACallersMistake)
{
    const TPMT_PUBLIC& ek = ek_templates()[0].area;
    EXPECT_THROW((void)make_credential(ek, {}, random_secret(32)), Error);
    EXPECT_THROW((void)make_credential(ek, Bytes(34), Secret()), Error);
    EXPECT_THROW((void)make_credential(ek, Bytes(34), random_secret(33)), Error);
}

} // namespace
} // namespace imprint::structures
