// SPDX-License-Identifier: Apache-2.0
#include "backup/package/data_package.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/policy.h"
#include "daemon/structures/wrap.h"
#include "tests/package/software_device.h"

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

void change_object(DataPackage& package, const std::function<void(TPMT_PUBLIC&)>& change)
{
    auto& entry = *package.mutable_entries(0);
    auto object = structures::unmarshal<TPM2B_PUBLIC>(as_bytes(entry.object())).or_throw();
    change(object.publicArea);
    object.size = 0; // marshalled anew
    entry.set_object(to_string(structures::marshal(object)));
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
    auto original = device().data_package(7);
    original.mutable_entries(0)->set_key_file(true);
    add_secret(original);
    const auto parsed = parse_data_package(serialize(original), device().chip, 7);
    ASSERT_TRUE(parsed) << parsed.refusal().detail;
    EXPECT_TRUE(parsed->entries(0).key_file());
    EXPECT_EQ(parsed->entries(2).enveloped(), "enveloped");
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
        {"key file that is none", [](auto& p) { p.mutable_entries(0)->set_key_file(false); }},
        {"a key with a secret", [](auto& p) { p.mutable_entries(0)->set_enveloped("secret"); }},
        {"a secret without any", [](auto& p) { add_secret(p)->clear_enveloped(); }},
        {"a secret that is too large",
         [](auto& p) { add_secret(p)->set_enveloped(std::string(max_enveloped + 1, 'a')); }},
        {"a secret as a key file", [](auto& p) { add_secret(p)->set_key_file(true); }},
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
