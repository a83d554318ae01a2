// SPDX-License-Identifier: Apache-2.0
// Reading is strict: what is accepted marshals back to the very bytes that were given.
#include "daemon/structures/marshal.h"

#include "daemon/structures/name.h"
#include "daemon/structures/templates.h"
#include "daemon/structures/wrap.h"
#include "tests/structures/chip.h"

#include <gtest/gtest.h>

namespace imprint::structures {
namespace {

template <class T>
void expect_strict(const Bytes& good)
{
    ASSERT_TRUE(unmarshal<T>(good));
    for (std::size_t size = 0; size < good.size(); ++size)
        EXPECT_FALSE(unmarshal<T>(BytesView(good).first(size))) << size;
    Bytes longer = good;
    longer.push_back(0);
    EXPECT_EQ(unmarshal<T>(longer).refusal().reason, Reason::malformed_message);
}

// Whatever is read from altered bytes stands for these bytes and no others.
template <class T>
void expect_faithful(const Bytes& good)
{
    for (std::size_t i = 0; i < good.size(); ++i)
        for (unsigned value = 1; value < 256; ++value) {
            Bytes altered = good;
            altered[i] = static_cast<std::uint8_t>(altered[i] ^ value);
            const Result<T> read = unmarshal<T>(altered);
            EXPECT_TRUE(!read || marshal(*read) == altered) << i;
        }
}

template <class T>
void expect_both(const Bytes& good)
{
    expect_strict<T>(good);
    expect_faithful<T>(good);
}

TEST(Marshal, PublicAreasAreStrict)
{
    for (const TPMT_PUBLIC& area : {storage_key_template(), identity_key_template(), module_key_template(Bytes(34), 1),
                                    sealed_secret_template(), ek_templates().back().area}) {
        expect_both<TPMT_PUBLIC>(marshal(area));
        expect_both<TPM2B_PUBLIC>(marshal(TPM2B_PUBLIC{.size = 0, .publicArea = area}));
    }
}

TEST(Marshal, IndexesAreStrict)
{
    const TPMS_NV_PUBLIC area = epoch_index(epoch_handle, true);
    expect_both<TPMS_NV_PUBLIC>(marshal(area));
    expect_both<TPM2B_NV_PUBLIC>(marshal(TPM2B_NV_PUBLIC{.size = 0, .nvPublic = area}));
}

TEST(Marshal, ByteStringsAreStrict)
{
    const Bytes content(60, 7);
    expect_both<TPM2B_PRIVATE>(marshal(to_tpm2b<TPM2B_PRIVATE>(content)));
    expect_both<TPM2B_ID_OBJECT>(marshal(to_tpm2b<TPM2B_ID_OBJECT>(content)));
    expect_both<TPM2B_ENCRYPTED_SECRET>(marshal(to_tpm2b<TPM2B_ENCRYPTED_SECRET>(content)));
    const Bytes too_long = [] {
        Bytes out{0xff, 0xff};
        out.resize(2 + 0xffff);
        return out;
    }();
    EXPECT_FALSE(unmarshal<TPM2B_PRIVATE>(too_long));
    EXPECT_FALSE(unmarshal<TPM2B_ID_OBJECT>(too_long));
}

TEST(Marshal, WhatATpmGivesIsStrict)
{
    Chip chip;
    const Object storage = chip.storage_key(), identity = chip.identity_key();
    const ModuleKey key = chip.create_module_key(storage.tr, module_key_template(Bytes(34), 1));
    expect_both<TPM2B_CREATION_DATA>(marshal(key.creation_data));
    chip.define_epoch();
    for (const Attestation& attestation :
         {chip.certify_creation(identity.tr, key, Bytes(32)), chip.certify(identity.tr, storage.tr, Bytes(32)),
          chip.certify_epoch(identity.tr, Bytes(32)), chip.quote(identity.tr, Bytes(32))}) {
        expect_both<TPMS_ATTEST>(attestation.attest);
        expect_both<TPMT_SIGNATURE>(attestation.signature);
    }
}

TEST(Marshal, ImpossibleContentsAreRefused)
{
    TPMT_PUBLIC area = storage_key_template();
    area.type = TPM2_ALG_AES;
    EXPECT_THROW(marshal(area), Error);
    EXPECT_TRUE(name_of(area).empty());
    EXPECT_THROW(to_tpm2b<TPM2B_DIGEST>(Bytes(65)), Error);
}

} // namespace
} // namespace imprint::structures
