// SPDX-License-Identifier: Apache-2.0
// The published templates are the code's, a TPM takes them, and nothing but them passes for them.
#include "daemon/structures/templates.h"

#include "daemon/base/file.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/policy.h"
#include "tests/structures/chip.h"

#include <gtest/gtest.h>

#include <map>
#include <sstream>

namespace imprint::structures {
namespace {

using Vectors = std::map<std::string, std::string>;

// "    name: hex"
Vectors published()
{
    std::istringstream text(to_string(read_file(IMPRINT_TEMPLATES, 100'000).value()));
    Vectors out;
    for (std::string line; std::getline(text, line);) {
        const std::size_t colon = line.find(": ");
        if (line.starts_with("    ") && colon != std::string::npos && unhex(line.substr(colon + 2)))
            out.emplace(line.substr(4, colon - 4), line.substr(colon + 2));
    }
    return out;
}

Vectors computed()
{
    const TPMS_NV_PUBLIC index = epoch_index(epoch_handle, true);
    const auto branches = storage_key_policy_branches();
    Vectors out{{"storage-key-branch-import", hex(branches[0])},
                {"storage-key-branch-load", hex(branches[1])},
                {"storage-key-branch-create", hex(branches[2])},
                {"storage-key-policy", hex(storage_key_policy())},
                {"storage-key-template", hex(marshal(storage_key_template()))},
                {"identity-key-template", hex(marshal(identity_key_template()))},
                {"epoch-index-area", hex(marshal(index))},
                {"epoch-index-name", hex(name_of(index))},
                {"module-key-policy", hex(policy_epoch(name_of(index), 5))},
                {"module-key-template", hex(marshal(module_key_template(name_of(index), 5)))},
                {"sealed-secret-policy", hex(policy_command_code(TPM2_CC_Unseal))},
                {"sealed-secret-template", hex(marshal(sealed_secret_template()))}};
    for (const EkTemplate& ek : ek_templates())
        out.emplace("ek-" + std::string(ek.name), hex(marshal(ek.area)));
    return out;
}

TEST(Templates, PublishedOnesAreTheCodes) { EXPECT_EQ(published(), computed()); }

TEST(Templates, PrimariesComeBackAfterClear)
{
    Chip chip;
    const Bytes storage = chip.storage_key().name, identity = chip.identity_key().name;
    chip.clear();
    EXPECT_EQ(chip.storage_key().name, storage);
    EXPECT_EQ(chip.identity_key().name, identity);
}

TEST(Templates, AreRecognizedOnceTheyAreKeys)
{
    Chip chip;
    const std::uint64_t odd = chip.define_epoch() + 1;
    const Bytes index = name_of(chip.epoch_area());
    const Object storage = chip.storage_key(), identity = chip.identity_key();
    const ModuleKey key = chip.create_module_key(storage.tr, module_key_template(index, odd));
    EXPECT_TRUE(is_storage_key(storage.area));
    EXPECT_TRUE(is_identity_key(identity.area));
    EXPECT_TRUE(is_module_key(key.object.area, index, odd));
    EXPECT_FALSE(is_module_key(key.object.area, index, odd + 2));
    EXPECT_FALSE(is_storage_key(identity.area));
    EXPECT_FALSE(is_identity_key(storage.area));
    for (const auto& area : {storage_key_template(), identity_key_template(), module_key_template(index, odd)})
        EXPECT_FALSE(is_storage_key(area) || is_identity_key(area) || is_module_key(area, index, odd));
    EXPECT_EQ(ek_template_of(storage.area), nullptr);
}

TEST(Templates, EksOfAManufacturedTpmAreRecognized)
{
    Chip chip(test::SoftwareTpm::Kind::manufactured);
    const EkTemplate* rsa = ek_template_of(chip.at(0x81010001).area);
    const EkTemplate* p384 = ek_template_of(chip.at(0x81010016).area);
    ASSERT_TRUE(rsa != nullptr && p384 != nullptr);
    EXPECT_EQ(rsa->name, "L-1");
    EXPECT_EQ(p384->name, "H-3");
    EXPECT_EQ(chip.create_primary(ESYS_TR_RH_ENDORSEMENT, rsa->area).name, chip.at(0x81010001).name);
    EXPECT_EQ(chip.create_primary(ESYS_TR_RH_ENDORSEMENT, p384->area).name, chip.at(0x81010016).name);
}

// For every byte of the marshalled form and every other value of it.
template <class T>
void for_each_mutation(const T& area, const std::function<void(const T&, std::size_t)>& look)
{
    const Bytes good = marshal(area);
    for (std::size_t i = 0; i < good.size(); ++i)
        for (unsigned bits = 1; bits < 256; ++bits) {
            Bytes altered = good;
            altered[i] = static_cast<std::uint8_t>(altered[i] ^ bits);
            if (const Result<T> read = unmarshal<T>(altered))
                look(*read, i);
        }
}

TEST(Templates, Attack03_NoAlteredModuleKeyIsOneOrHasItsName)
{
    Chip chip;
    const std::uint64_t odd = chip.define_epoch() + 1;
    const Bytes index = name_of(chip.epoch_area());
    const ModuleKey key = chip.create_module_key(chip.storage_key().tr, module_key_template(index, odd));
    std::size_t read = 0;
    const auto look = [&](const TPMT_PUBLIC& altered, std::size_t at) {
        ++read;
        EXPECT_FALSE(is_module_key(altered, index, odd)) << at;
        EXPECT_NE(name_of(altered), key.object.name) << at;
    };
    for_each_mutation<TPMT_PUBLIC>(key.object.area, look);
    EXPECT_GT(read, 64U * 255U); // at least the point's bytes can be read in every form
}

TEST(Templates, Attack03_NoAlteredPrimaryIsOne)
{
    Chip chip;
    for_each_mutation<TPMT_PUBLIC>(chip.storage_key().area, [](const TPMT_PUBLIC& altered, std::size_t at) {
        EXPECT_FALSE(is_storage_key(altered)) << at;
    });
    for_each_mutation<TPMT_PUBLIC>(chip.identity_key().area, [](const TPMT_PUBLIC& altered, std::size_t at) {
        EXPECT_FALSE(is_identity_key(altered)) << at;
    });
}

TEST(Templates, Attack41_EpochIndexIsExact)
{
    const TPMS_NV_PUBLIC good = epoch_index(epoch_handle, true);
    ASSERT_TRUE(is_epoch_index(good));
    for_each_mutation<TPMS_NV_PUBLIC>(good, [](const TPMS_NV_PUBLIC& altered, std::size_t at) {
        const bool other_handle = at < sizeof(TPM2_HANDLE);
        EXPECT_FALSE(is_epoch_index(altered) && !other_handle) << at;
    });
    EXPECT_FALSE(is_epoch_index(epoch_index(epoch_handle, false)));
    EXPECT_TRUE(is_epoch_index(epoch_index(0x01800000, true)));
    EXPECT_TRUE(is_epoch_index(epoch_index(0x01BFFFFF, true)));
    EXPECT_FALSE(is_epoch_index(epoch_index(0x017FFFFF, true)));
    EXPECT_FALSE(is_epoch_index(epoch_index(0x01C00000, true)));
}

} // namespace
} // namespace imprint::structures
