// SPDX-License-Identifier: Apache-2.0
// The security module on a real (software) TPM: preparation, keys, epoch, and what each costs.
#include "tests/tpm/fixture.h"

#include "daemon/structures/child.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/policy.h"

namespace imprint::test {

namespace {

using tpm::Observation;
using tpm::SecurityModule;

// An imported parent with a key under it.
struct Family {
    explicit Family(const TPMT_PUBLIC& storage_key)
    {
        const auto above = software_key(), key = software_key();
        const auto& point = above.area.unique.ecc;
        const auto area = structures::importable_parent(structures::view(point.x), structures::view(point.y));
        const auto seed = structures::make_parent_seed();
        parent = structures::wrap_parent(storage_key, area, above.scalar, seed);
        child = structures::make_child(area, seed, key.area, key.scalar);
    }
    structures::Importable parent;
    structures::Loadable child;
};

class Preparation : public TpmTest { };

TEST_F(Preparation, MakesEverythingOnceAndFindsItAgain)
{
    auto module = open();
    EXPECT_EQ(module->look().epoch_status, Observation::Epoch::undefined);
    const auto first = commands([&] { EXPECT_EQ(module->prepare(anchor) % 2, 0U); });
    RecordProperty("commands", static_cast<int>(first));
    EXPECT_LE(first, 26U);
    EXPECT_EQ(leaked(), 0U);
    const auto seen = module->look();
    EXPECT_EQ(seen.epoch_status, Observation::Epoch::counting);
    EXPECT_EQ(seen.storage_key_name, structures::name_of(module->storage_key()));
    EXPECT_EQ(seen.anchor, anchor);
    EXPECT_TRUE(structures::is_storage_key(module->storage_key()));
    EXPECT_TRUE(structures::is_identity_key(module->identity_key()));

    auto again = open();
    EXPECT_EQ(again->prepare(anchor), seen.epoch);
    EXPECT_EQ(again->look().storage_key_name, seen.storage_key_name);
    EXPECT_EQ(again->look().identity_key_name, seen.identity_key_name);
}

TEST_F(Preparation, AnotherAnchorIsNeverWrittenOver)
{
    auto module = open();
    module->prepare(anchor);
    const Bytes other(32, 0x11);
    EXPECT_EQ(reason_of([&] { module->prepare(other); }), Reason::anchor_mismatch);
    EXPECT_EQ(module->look().anchor, anchor);
}

TEST_F(Preparation, AnOperatingDeviceIsNotTouched)
{
    auto module = open();
    const auto epoch = module->prepare(anchor);
    module->increment_epoch();
    EXPECT_EQ(module->prepare(anchor), epoch + 1);
}

TEST_F(Preparation, ClearBringsTheSameKeysBackAndTheCounterGoesOn)
{
    auto module = open();
    const auto epoch = module->prepare(anchor);
    const auto before = module->look();
    tpm.clear();
    const auto cleared = module->look();
    EXPECT_TRUE(cleared.storage_key_name.empty());
    EXPECT_EQ(cleared.epoch_status, Observation::Epoch::undefined);
    EXPECT_GT(module->prepare(anchor), epoch);
    const auto after = module->look();
    EXPECT_EQ(after.storage_key_name, before.storage_key_name);
    EXPECT_EQ(after.identity_key_name, before.identity_key_name);
}

class Module : public PreparedTest { };

TEST_F(Module, A23_KeySignsInItsOwnEpochOnly)
{
    const auto key = create_module_key();
    EXPECT_EQ(reason_of([&] { sign(key); }), Reason::tpm_refused);
    EXPECT_EQ(leaked(), 0U);
    module->increment_epoch();
    Bytes signature;
    EXPECT_EQ(commands([&] { signature = sign(key); }), 6U);
    const auto area = structures::unmarshal<TPM2B_PUBLIC>(key.object).or_throw().publicArea;
    EXPECT_TRUE(structures::is_module_key(area, module->epoch_index_name(), epoch + 1));
    EXPECT_TRUE(verify(area, as_bytes("message"), signature));
    module->increment_epoch();
    EXPECT_EQ(reason_of([&] { sign(key); }), Reason::tpm_refused);
    EXPECT_EQ(leaked(), 0U);
}

TEST_F(Module, CommandCountsAreThoseOfTheContract)
{
    module->certify_epoch(qualifying);
    EXPECT_EQ(commands([&] { module->read_epoch(); }), 1U);
    EXPECT_EQ(commands([&] { module->increment_epoch(); }), 1U);
    EXPECT_EQ(commands([&] { module->certify_epoch(qualifying); }), 1U);
    EXPECT_EQ(commands([&] { module->certify_storage_key(qualifying); }), 1U);
    EXPECT_EQ(commands([&] { module->sign_with_identity_key(Bytes(1024, 'x')); }), 2U);
    EXPECT_EQ(commands([&] { create_module_key(); }), 10U);

    const auto key = software_key();
    const auto wrapped = structures::wrap(module->storage_key(), key.area, key.scalar);
    EXPECT_EQ(commands([&] {
                  SecurityModule::Work work(*module);
                  const auto blob = work.import(wrapped);
                  work.last();
                  const auto loaded = work.load(wrapped.object, blob);
                  work.certify(loaded, qualifying);
              }),
              1U + 3 + 3 + 1 + 1);

    const auto sealed =
        structures::wrap(module->storage_key(), structures::sealed_secret_template(), Secret(as_bytes("sealed")));
    EXPECT_EQ(commands([&] {
                  SecurityModule::Work work(*module);
                  const auto blob = work.import(sealed);
                  const auto loaded = work.load(sealed.object, blob);
                  work.last();
                  EXPECT_EQ(as_text(work.unseal(loaded).view()), "sealed");
              }),
              1U + 3 + 3 + 2 + 1);
    EXPECT_EQ(leaked(), 0U);
}

TEST_F(Module, B20_AChildIsLoadedInOneCommandWhereverItsParentWasImported)
{
    const Family family(module->storage_key());
    const auto use = [&] {
        SecurityModule::Work work(*module);
        const auto parent = work.load(family.parent.object, work.import(family.parent));
        for (int i = 0; i < 2; ++i) {
            const auto loaded = work.load_child(parent, family.child.object, family.child.sensitive);
            work.certify(loaded, qualifying);
        }
        work.import(family.parent); // the session is as good as before
    };
    use();
    EXPECT_EQ(commands(use), 1U + 3 + 3 + 2 * 3 + 3 + 1 + 1);
    EXPECT_EQ(leaked(), 0U);
}

// A small TPM holds three objects; a cleared one lends the storage key for one of them.
TEST_F(Module, B17_ATrialLeavesRoomForAKeyAndItsParent)
{
    const Family family(module->storage_key());
    const Bytes identity = structures::name_of(module->identity_key());
    tpm.clear();
    module = open();
    {
        const SecurityModule::Trial trial(*module);
        EXPECT_EQ(structures::name_of(module->identity_key()), identity);
        SecurityModule::Work work(*module);
        const auto parent = work.load(family.parent.object, work.import(family.parent));
        EXPECT_NO_THROW(work.load_child(parent, family.child.object, family.child.sensitive));
        EXPECT_EQ(reason_of([&] { module->sign_with_identity_key(as_bytes("message")); }), Reason::tpm_refused)
            << "it is not lent to sign";
    }
    EXPECT_EQ(leaked(), 0U);
    EXPECT_EQ(reason_of([&] { module->identity_key(); }), Reason::tpm_refused);
}

TEST_F(Module, IdentityKeySignsMessagesOfAnyLength)
{
    for (const std::size_t size : {0U, 1U, 1024U, 1025U, 5000U}) {
        const Bytes message(size, 'm');
        EXPECT_TRUE(verify(module->identity_key(), message, module->sign_with_identity_key(message))) << size;
    }
    EXPECT_EQ(leaked(), 0U);
}

TEST_F(Module, AttestationsHoldBeforeTheChecks)
{
    const auto signer_name = structures::qualified_name_of_primary(TPM2_RH_ENDORSEMENT, module->identity_key());
    const structures::Expectation expected{module->identity_key(), signer_name, qualifying};
    const auto epoch_value =
        structures::check_nv_certify(module->certify_epoch(qualifying), expected, module->epoch_index_name());
    ASSERT_TRUE(epoch_value) << epoch_value.refusal().detail;
    EXPECT_EQ(*epoch_value, epoch);
    const auto storage_name = structures::name_of(module->storage_key());
    const auto storage_qualified = structures::qualified_name_of_primary(TPM2_RH_ENDORSEMENT, module->storage_key());
    EXPECT_TRUE(
        structures::check_certify(module->certify_storage_key(qualifying), expected, storage_name, storage_qualified));

    const auto key = create_module_key();
    const auto data = structures::unmarshal<TPM2B_CREATION_DATA>(key.creation_data).or_throw();
    EXPECT_TRUE(equal(structures::view(data.creationData.outsideInfo), variation));
    EXPECT_TRUE(equal(structures::view(data.creationData.parentName), storage_name));
    const auto area = structures::unmarshal<TPM2B_PUBLIC>(key.object).or_throw().publicArea;
    const auto hash = structures::digest(TPM2_ALG_SHA256, BytesView(key.creation_data).subspan(2));
    const auto creation = structures::check_creation(key.creation, expected, structures::name_of(area), hash);
    EXPECT_TRUE(creation) << creation.refusal().detail;
}

TEST_F(Module, ImportedKeysComeBackAfterClear)
{
    const auto key = software_key();
    const auto wrapped = structures::wrap(module->storage_key(), key.area, key.scalar);
    const auto import_and_load = [&] {
        SecurityModule::Work work(*module);
        work.load(wrapped.object, work.import(wrapped));
    };
    Bytes blob;
    {
        SecurityModule::Work work(*module);
        blob = work.import(wrapped);
    }
    tpm.clear();
    module->prepare(anchor);
    EXPECT_EQ(reason_of([&] { SecurityModule::Work(*module).load(wrapped.object, blob); }), Reason::tpm_refused);
    EXPECT_NO_THROW(import_and_load());
    EXPECT_EQ(leaked(), 0U);
}

TEST_F(Module, WorkGoesOnAfterARefusal)
{
    const auto key = software_key();
    auto wrapped = structures::wrap(module->storage_key(), key.area, key.scalar);
    auto broken = wrapped;
    broken.duplicate.back() ^= 1;
    SecurityModule::Work work(*module);
    EXPECT_EQ(reason_of([&] { work.import(broken); }), Reason::tpm_refused);
    EXPECT_NO_THROW(work.load(wrapped.object, work.import(wrapped)));
}

} // namespace

} // namespace imprint::test
