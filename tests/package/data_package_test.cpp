// SPDX-License-Identifier: Apache-2.0
#include "backup/package/data_package.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/policy.h"
#include "daemon/structures/wrap.h"
#include "tests/package/software_device.h"
#include "tests/package/software_parent.h"

#include <gtest/gtest.h>

#include <functional>

namespace imprint::package {
namespace {

const test::TestPki& manufacturer()
{
    static const test::TestPki pki;
    return pki;
}

const test::SoftwareDevice& device()
{
    static const test::SoftwareDevice one(manufacturer(), "SN-1");
    return one;
}

std::optional<Reason> refusal_of(BytesView bytes)
{
    const auto parsed = parse_data_package(bytes);
    if (parsed)
        return std::nullopt;
    return parsed.refusal().reason;
}

TEST(DataPackages, RoundTrip)
{
    const auto original = device().data_package(7);
    const Bytes bytes = serialize(original);
    const auto parsed = parse_data_package(bytes, device().chip, 7);
    ASSERT_TRUE(parsed) << parsed.refusal().detail;
    EXPECT_EQ(parsed->entries_size(), 2);
    EXPECT_EQ(serialize(*parsed), bytes);
}

TEST(DataPackages, AreForOneChipAndSequence)
{
    const Bytes bytes = serialize(device().data_package(7));
    EXPECT_FALSE(parse_data_package(bytes, device().chip, 9));
    EXPECT_FALSE(parse_data_package(bytes, std::string(64, 'b'), 7));
}

struct Case {
    const char* what;
    std::function<void(DataPackage&)> change;
};

void change_object(DataPackage& package, const std::function<void(TPMT_PUBLIC&)>& change, int which = 0)
{
    auto& entry = *package.mutable_entries(which);
    auto object = structures::unmarshal<TPM2B_PUBLIC>(as_bytes(entry.object())).or_throw();
    change(object.publicArea);
    object.size = 0; // marshalled anew
    entry.set_object(to_string(structures::marshal(object)));
}

const test::SoftwareParent& software_parent()
{
    static const test::SoftwareParent one;
    return one;
}

// Beside the two importable keys, two that may leave as files: "file" and "file.hmac".
DataPackage with_children()
{
    auto package = device().data_package(7);
    *package.mutable_parent() = software_parent().wrapped_for(device().storage_key);
    *package.add_entries() = software_parent().child("file");
    *package.add_entries() =
        software_parent().child("file.hmac", structures::importable_hmac_key({}), random_secret(32));
    return package;
}

Entry* add_secret(DataPackage& package)
{
    const auto wrapped =
        structures::wrap(device().storage_key, structures::importable_sealed_data({}), random_secret(32));
    auto* entry = package.add_entries();
    entry->set_label("secret");
    entry->set_object(to_string(wrapped.object));
    entry->set_duplicate(to_string(wrapped.duplicate));
    entry->set_seed(to_string(wrapped.seed));
    entry->set_enveloped("enveloped");
    return entry;
}

TEST(DataPackages, CarrySecretsAndKeysThatMayLeaveAsFiles)
{
    auto original = with_children();
    add_secret(original);
    const auto parsed = parse_data_package(serialize(original), device().chip, 7);
    ASSERT_TRUE(parsed) << parsed.refusal().detail;
    EXPECT_EQ(serialize(*parsed), serialize(original));
    EXPECT_EQ(parsed->entries(2).label(), "file");
    EXPECT_EQ(parsed->entries(4).enveloped(), "enveloped");
}

// What the TPM would take, and what it would not, must not come from a station.
TEST(DataPackages, KeysThatMayLeaveAsFilesAreUnderAParentOfItsTemplate)
{
    const structures::SoftwareKey key;
    const auto parent = [](DataPackage& p, const structures::Importable& wrapped) {
        p.mutable_parent()->set_object(to_string(wrapped.object));
        p.mutable_parent()->set_duplicate(to_string(wrapped.duplicate));
        p.mutable_parent()->set_seed(to_string(wrapped.seed));
    };
    const auto with_parent = [&](const std::function<void(TPMT_PUBLIC&)>& change) {
        return [&, change](DataPackage& p) {
            auto area = software_parent().area();
            change(area);
            area.unique.ecc = key.in(area).unique.ecc;
            parent(p, structures::wrap(device().storage_key, area, key.scalar()));
        };
    };
    const std::vector<Case> cases{
        {"children without a parent", [](auto& p) { p.clear_parent(); }},
        {"a parent without children", [](auto& p) { p.mutable_entries()->DeleteSubrange(2, 2); }},
        {"an empty parent", [](auto& p) { p.mutable_parent()->Clear(); }},
        {"a parent without an outer wrap", [](auto& p) { p.mutable_parent()->set_seed(std::string(2, '\0')); }},
        {"a parent with an empty sensitive area",
         [](auto& p) { p.mutable_parent()->set_duplicate(std::string(2, '\0')); }},
        {"a parent with a trailing byte", [](auto& p) { p.mutable_parent()->mutable_object()->push_back('\0'); }},
        {"a parent with an unknown field",
         [](auto& p) { p.mutable_parent()->mutable_unknown_fields()->append("\x78\x01"); }},
        {"a parent with a policy", with_parent([](auto& area) {
             area.authPolicy = structures::to_tpm2b<TPM2B_DIGEST>(structures::policy_command_code(TPM2_CC_Duplicate));
         })},
        {"a parent with lockout", with_parent([](auto& area) { area.objectAttributes &= ~TPMA_OBJECT_NODA; })},
        {"a parent that signs", with_parent([](auto& area) {
             area.objectAttributes = (area.objectAttributes & ~TPMA_OBJECT_DECRYPT) | TPMA_OBJECT_SIGN_ENCRYPT;
         })},
        {"a parent that decrypts anything",
         with_parent([](auto& area) { area.objectAttributes &= ~TPMA_OBJECT_RESTRICTED; })},
        {"a parent with AES-256",
         with_parent([](auto& area) { area.parameters.eccDetail.symmetric.keyBits.aes = 256; })},
        {"a key for a parent",
         [&](auto& p) {
             parent(p,
                    structures::wrap(device().storage_key, structures::importable_ecc_key(key.x(), key.y(), {}),
                                     key.scalar()));
         }},
        {"the storage key for a parent",
         [](auto& p) {
             p.mutable_parent()->set_object(
                 to_string(structures::marshal(TPM2B_PUBLIC{.size = 0, .publicArea = device().storage_key})));
         }},
    };
    EXPECT_EQ(refusal_of(serialize(with_children())), std::nullopt);
    for (const auto& [what, change] : cases) {
        auto package = with_children();
        change(package);
        EXPECT_EQ(refusal_of(serialize(package)), Reason::package_invalid) << what;
    }
}

TEST(DataPackages, ChildrenAreKeysForOneUseThatNobodyDuplicates)
{
    const std::vector<Case> cases{
        {"wrapped in two ways", [](auto& p) { p.mutable_entries(2)->set_duplicate(p.entries(0).duplicate()); }},
        {"with a seed", [](auto& p) { p.mutable_entries(2)->set_seed(p.entries(0).seed()); }},
        {"with an empty seed", [](auto& p) { p.mutable_entries(2)->set_seed(""); }},
        {"nothing", [](auto& p) { p.mutable_entries(2)->set_sensitive(""); }},
        {"an empty sensitive area", [](auto& p) { p.mutable_entries(2)->set_sensitive(std::string(2, '\0')); }},
        {"a trailing byte", [](auto& p) { p.mutable_entries(2)->mutable_sensitive()->push_back('\0'); }},
        {"a byte less", [](auto& p) { p.mutable_entries(2)->mutable_sensitive()->pop_back(); }},
        {"a key and a secret", [](auto& p) { p.mutable_entries(2)->set_enveloped("secret"); }},
        {"another's certificate",
         [](auto& p) { p.mutable_entries(2)->set_certificate(to_string(device().identity.certificate.der())); }},
        {"an importable key's public area", [](auto& p) { p.mutable_entries(2)->set_object(p.entries(0).object()); }},
        {"the public area of a child without its sensitive one",
         [](auto& p) {
             auto& entry = *p.mutable_entries(0);
             entry.set_object(p.entries(2).object());
         }},
        {"a secret under the parent",
         [](auto& p) {
             auto child = software_parent().child("secret", structures::importable_sealed_data({}), random_secret(32));
             child.set_enveloped("enveloped");
             *p.add_entries() = child;
         }},
        {"sealed data under the parent",
         [](auto& p) {
             *p.add_entries() =
                 software_parent().child("secret", structures::importable_sealed_data({}), random_secret(32));
         }},
    };
    for (const auto& [what, change] : cases) {
        auto package = with_children();
        change(package);
        EXPECT_EQ(refusal_of(serialize(package)), Reason::package_invalid) << what;
    }
    const auto refused = [](const std::function<void(TPMT_PUBLIC&)>& change) {
        auto package = with_children();
        change_object(package, change, 2);
        return refusal_of(serialize(package));
    };
    EXPECT_EQ(refused([](auto&) {}), std::nullopt);
    for (const TPMA_OBJECT bit :
         {TPMA_OBJECT_FIXEDTPM, TPMA_OBJECT_ENCRYPTEDDUPLICATION, TPMA_OBJECT_RESTRICTED, TPMA_OBJECT_DECRYPT})
        EXPECT_EQ(refused([&](auto& area) { area.objectAttributes |= bit; }), Reason::package_invalid) << bit;
    for (const TPMA_OBJECT bit : {TPMA_OBJECT_FIXEDPARENT, TPMA_OBJECT_USERWITHAUTH, TPMA_OBJECT_SIGN_ENCRYPT})
        EXPECT_EQ(refused([&](auto& area) { area.objectAttributes &= ~bit; }), Reason::package_invalid) << bit;
    EXPECT_EQ(refused([](auto& area) {
                  area.authPolicy = structures::to_tpm2b<TPM2B_DIGEST>(structures::policy_command_code(TPM2_CC_Sign));
              }),
              Reason::package_invalid);
    EXPECT_EQ(refused([](auto& area) { area.nameAlg = TPM2_ALG_NULL; }), Reason::package_invalid);
}

TEST(DataPackages, KeysForMoreThanOneUseAreRefused)
{
    const auto refused = [](TPMA_OBJECT set, TPMA_OBJECT clear) {
        auto package = device().data_package(7);
        change_object(package, [&](auto& area) { area.objectAttributes = (area.objectAttributes | set) & ~clear; });
        return refusal_of(serialize(package));
    };
    EXPECT_EQ(refused(TPMA_OBJECT_DECRYPT, TPMA_OBJECT_SIGN_ENCRYPT), std::nullopt);
    EXPECT_EQ(refused(TPMA_OBJECT_DECRYPT, 0), Reason::package_invalid);
    EXPECT_EQ(refused(TPMA_OBJECT_RESTRICTED, 0), Reason::package_invalid);
    EXPECT_EQ(refused(0, TPMA_OBJECT_SIGN_ENCRYPT), Reason::package_invalid);
}

TEST(DataPackages, WhatIsNotAsItMustBeIsRefused)
{
    const std::vector<Case> cases{
        {"version", [](auto& p) { p.set_version(2); }},
        {"no chip", [](auto& p) { p.clear_chip_identifier(); }},
        {"chip in upper case", [](auto& p) { p.set_chip_identifier(std::string(64, 'A')); }},
        {"unknown kind", [](auto& p) { p.set_identity_kind("colour"); }},
        {"empty identity", [](auto& p) { p.clear_identity_value(); }},
        {"even sequence", [](auto& p) { p.set_sequence(8); }},
        {"empty label", [](auto& p) { p.mutable_entries(0)->clear_label(); }},
        {"label with a slash", [](auto& p) { p.mutable_entries(0)->set_label("../key"); }},
        {"label of 65", [](auto& p) { p.mutable_entries(0)->set_label(std::string(65, 'a')); }},
        {"label twice", [](auto& p) { p.mutable_entries(1)->set_label(p.entries(0).label()); }},
        {"65 entries",
         [](auto& p) {
             for (int i = 2; i < 65; ++i) {
                 *p.add_entries() = p.entries(0);
                 p.mutable_entries(i)->set_label("key" + std::to_string(i));
             }
         }},
        {"no object", [](auto& p) { p.mutable_entries(0)->clear_object(); }},
        {"no duplicate", [](auto& p) { p.mutable_entries(0)->clear_duplicate(); }},
        {"empty duplicate", [](auto& p) { p.mutable_entries(0)->set_duplicate(std::string(2, '\0')); }},
        {"no outer wrap", [](auto& p) { p.mutable_entries(0)->set_seed(std::string(2, '\0')); }},
        {"trailing byte", [](auto& p) { p.mutable_entries(0)->mutable_object()->push_back('\0'); }},
        {"broken certificate", [](auto& p) { p.mutable_entries(0)->set_certificate("certificate"); }},
        {"certificate of another key",
         [](auto& p) { p.mutable_entries(0)->set_certificate(to_string(device().identity.certificate.der())); }},
        {"unknown field", [](auto& p) { p.mutable_unknown_fields()->append("\x78\x01"); }},
        {"unknown field of an entry",
         [](auto& p) { p.mutable_entries(0)->mutable_unknown_fields()->append("\x78\x01"); }},
        {"a key with a secret", [](auto& p) { p.mutable_entries(0)->set_enveloped("secret"); }},
        {"a secret without any", [](auto& p) { add_secret(p)->clear_enveloped(); }},
        {"a secret that is too large",
         [](auto& p) { add_secret(p)->set_enveloped(std::string(max_enveloped + 1, 'a')); }},
    };
    for (const auto& [what, change] : cases) {
        auto package = device().data_package(7);
        change(package);
        EXPECT_EQ(refusal_of(serialize(package)), Reason::package_invalid) << what;
    }
}

TEST(DataPackages, ObjectsThatAreBoundOrHaveAPolicyAreRefused)
{
    const auto refused = [](const std::function<void(TPMT_PUBLIC&)>& change) {
        auto package = device().data_package(7);
        change_object(package, change);
        return refusal_of(serialize(package));
    };
    EXPECT_EQ(refused([](auto&) {}), std::nullopt);
    for (const TPMA_OBJECT bit : {TPMA_OBJECT_FIXEDTPM, TPMA_OBJECT_FIXEDPARENT, TPMA_OBJECT_ENCRYPTEDDUPLICATION})
        EXPECT_EQ(refused([&](auto& area) { area.objectAttributes |= bit; }), Reason::package_invalid) << bit;
    EXPECT_EQ(refused([](auto& area) {
                  area.authPolicy =
                      structures::to_tpm2b<TPM2B_DIGEST>(structures::policy_command_code(TPM2_CC_Duplicate));
              }),
              Reason::package_invalid);
    EXPECT_EQ(refused([](auto& area) { area.nameAlg = TPM2_ALG_NULL; }), Reason::package_invalid);
}

TEST(DataPackages, OnlyTheCanonicalFormIsRead)
{
    const auto package = device().data_package(7);
    Bytes bytes = serialize(package);
    bytes.insert(bytes.end(), {0x08, 0x01}); // the version once more
    EXPECT_EQ(refusal_of(bytes), Reason::package_invalid);
    bytes = serialize(package);
    bytes.erase(bytes.begin() + 1);
    bytes.insert(bytes.begin() + 1, {0x81, 0x00}); // version 1 in two bytes
    EXPECT_EQ(refusal_of(bytes), Reason::package_invalid);
    EXPECT_EQ(refusal_of(Bytes(max_data_package + 1)), Reason::package_invalid);
    EXPECT_EQ(refusal_of({}), Reason::package_invalid);
}

} // namespace
} // namespace imprint::package
