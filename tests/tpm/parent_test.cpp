// SPDX-License-Identifier: Apache-2.0
// The parent of key files comes to its handle and leaves it; what is not ours stands there for as long as it likes.
#include "tests/tpm/fixture.h"

#include "daemon/structures/child.h"
#include "daemon/structures/marshal.h"
#include "daemon/tpm/reference.h"

namespace imprint::test {

namespace {

struct Parent {
    Bytes object, sensitive; // loadable under the chip storage key
    Secret seed;
    TPMT_PUBLIC area;
};

class KeyFileParent : public PreparedTest {
protected:
    // Made by a station, imported by the device.
    Parent make_parent()
    {
        const auto key = software_key();
        const auto& point = key.area.unique.ecc;
        const auto area = structures::importable_parent(structures::view(point.x), structures::view(point.y));
        Parent parent{{}, {}, structures::make_parent_seed(), area};
        const auto wrapped = structures::wrap_parent(module->storage_key(), area, key.scalar, parent.seed);
        parent.object = wrapped.object;
        tpm::SecurityModule::Work work(*module);
        work.last();
        parent.sensitive = work.import(wrapped);
        return parent;
    }
    void persist(const Parent& parent) { module->persist_parent(parent.object, parent.sensitive); }

    // By other means than the module's.
    Bytes name_at_handle()
    {
        const tpm::Connection other(wire.tcti());
        const auto found = tpm::look_up(other, module->key_file_parent());
        return found ? structures::name_of(tpm::public_of(other, found)) : Bytes{};
    }
    // What a program with a key file does.
    bool loads_under_handle(const structures::Loadable& child)
    {
        const tpm::Connection other(wire.tcti());
        const auto parent = tpm::look_up(other, module->key_file_parent());
        if (!parent)
            return false;
        const auto object = structures::unmarshal<TPM2B_PUBLIC>(child.object).or_throw();
        const auto sensitive = structures::unmarshal<TPM2B_PRIVATE>(child.sensitive).or_throw();
        ESYS_TR tr = ESYS_TR_NONE;
        const auto rc =
            Esys_Load(other.esys(), parent.tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &object, &tr);
        const tpm::Transient loaded(other, tr);
        return rc == TSS2_RC_SUCCESS;
    }
    static structures::Loadable child_of(const Parent& parent)
    {
        const auto key = software_key();
        return structures::make_child(parent.area, parent.seed, key.area, key.scalar);
    }
    // The identity key's object, at the handle of the parent.
    std::unique_ptr<tpm::SecurityModule> where_something_foreign_stands()
    {
        auto settings = bare_settings();
        settings.key_file_parent = settings.identity_key;
        return open(std::move(settings));
    }
};

TEST_F(KeyFileParent, B5_ProgramsLoadItsChildrenWhileItStands)
{
    const auto parent = make_parent();
    const auto child = child_of(parent);
    EXPECT_FALSE(loads_under_handle(child));
    persist(parent);
    EXPECT_EQ(name_at_handle(), structures::name_of(parent.area));
    EXPECT_TRUE(loads_under_handle(child));
    module->evict_parent();
    EXPECT_EQ(name_at_handle(), Bytes{});
    EXPECT_FALSE(loads_under_handle(child));
    EXPECT_EQ(leaked(), 0U);
}

TEST_F(KeyFileParent, AnotherOneTakesItsPlace)
{
    const auto first = make_parent(), second = make_parent();
    const auto child = child_of(first);
    persist(first);
    persist(second);
    EXPECT_EQ(name_at_handle(), structures::name_of(second.area));
    EXPECT_FALSE(loads_under_handle(child)) << "the former one's children are of no use";
    module = open(); // which has not seen how it came there
    persist(first);
    EXPECT_EQ(name_at_handle(), structures::name_of(first.area));
    module = open();
    module->evict_parent();
    EXPECT_EQ(name_at_handle(), Bytes{});
}

TEST_F(KeyFileParent, Attack32_ItHasItsPriceAndLeavesNothing)
{
    const auto parent = make_parent();
    EXPECT_EQ(commands([&] { module->evict_parent(); }), 1U);
    EXPECT_EQ(commands([&] { persist(parent); }), 8U);
    EXPECT_EQ(commands([&] { persist(parent); }), 1U) << "it stands there";
    EXPECT_EQ(commands([&] { persist(make_parent()); }), 4U + 9U) << "an import and an eviction more";
    EXPECT_EQ(commands([&] { module->evict_parent(); }), 2U);
    EXPECT_EQ(leaked(), 0U);
}

TEST_F(KeyFileParent, WhatIsNotOursStays)
{
    const auto parent = make_parent();
    auto other = where_something_foreign_stands();
    const auto before = other->look().identity_key_name;
    EXPECT_EQ(reason_of([&] { other->persist_parent(parent.object, parent.sensitive); }), Reason::tpm_handle_taken);
    EXPECT_NO_THROW(other->evict_parent());
    EXPECT_EQ(other->look().identity_key_name, before);
    EXPECT_EQ(leaked(), 0U);
}

TEST_F(KeyFileParent, Attack16_WhatTheFilesHaveIsHeldToTheTemplate)
{
    const auto parent = make_parent(), other = make_parent();
    persist(parent);
    EXPECT_EQ(reason_of([&] { module->persist_parent(parent.object, Bytes(40, 7)); }), std::nullopt) << "it stands";
    EXPECT_EQ(reason_of([&] { module->persist_parent(other.object, parent.sensitive); }), Reason::tpm_refused);
    EXPECT_EQ(name_at_handle(), structures::name_of(parent.area)) << "the present one goes only for one that loads";
    const auto key = create_module_key();
    EXPECT_EQ(reason_of([&] { module->persist_parent(key.object, key.sensitive); }), Reason::tpm_refused);
    EXPECT_TRUE(reason_of([&] { module->persist_parent(Bytes(9, 1), parent.sensitive); }));
}

TEST_F(KeyFileParent, Attack38_TpmClearTakesItAndTheSameBlobsNeverComeBack)
{
    const auto parent = make_parent();
    persist(parent);
    tpm.clear();
    module = open();
    module->prepare(anchor);
    EXPECT_EQ(name_at_handle(), Bytes{});
    EXPECT_NO_THROW(module->evict_parent());
    EXPECT_EQ(reason_of([&] { persist(parent); }), Reason::tpm_refused);
}

} // namespace

} // namespace imprint::test
