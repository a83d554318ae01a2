// SPDX-License-Identifier: Apache-2.0
// A parent that was made without a TPM is imported; what was built under it is loaded and used, and goes nowhere else.
#include "daemon/structures/child.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/outer_wrap.h"
#include "daemon/structures/templates.h"
#include "tests/structures/chip.h"
#include "tests/structures/software_key.h"
#include "tests/support/reason.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

namespace imprint::structures {
namespace {

constexpr ESYS_TR none = ESYS_TR_NONE;
const TPMT_TK_HASHCHECK no_ticket{.tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL, .digest = {}};
const TPMT_SYM_DEF_OBJECT no_inner{.algorithm = TPM2_ALG_NULL, .keyBits = {}, .mode = {}};

TPMT_SIG_SCHEME scheme(TPMI_ALG_SIG_SCHEME alg)
{
    TPMT_SIG_SCHEME out{.scheme = alg, .details = {}};
    out.details.any.hashAlg = TPM2_ALG_SHA256;
    return out;
}

// By the TPM, and not by a library before it.
bool refused_by_tpm(TSS2_RC rc) { return rc != TSS2_RC_SUCCESS && (rc & TSS2_RC_LAYER_MASK) == TSS2_TPM_RC_LAYER; }

TPMT_PUBLIC parent_of(const SoftwareKey& key) { return importable_parent(key.x(), key.y()); }

class Child : public testing::Test {
protected:
    TSS2_RC try_load(ESYS_TR under, const Loadable& child, ESYS_TR& tr)
    {
        const auto object = unmarshal<TPM2B_PUBLIC>(child.object).or_throw();
        const auto sensitive = unmarshal<TPM2B_PRIVATE>(child.sensitive).or_throw();
        return Esys_Load(chip.esys(), under, ESYS_TR_PASSWORD, none, none, &sensitive, &object, &tr);
    }
    Object load(const Loadable& child)
    {
        ESYS_TR tr = none;
        check(try_load(parent.tr, child, tr), "Load");
        return chip.read_public(tr);
    }
    Object load(const TPMT_PUBLIC& object, const Secret& value)
    {
        return load(make_child(parent.area, seed, object, value));
    }
    TPMT_SIGNATURE sign(const Object& key, const TPMT_SIG_SCHEME& by, BytesView data)
    {
        const auto hashed = to_tpm2b<TPM2B_DIGEST>(digest(TPM2_ALG_SHA256, data));
        TPMT_SIGNATURE* signature = nullptr;
        check(Esys_Sign(chip.esys(), key.tr, ESYS_TR_PASSWORD, none, none, &hashed, &by, &no_ticket, &signature),
              "Sign");
        return take(signature);
    }
    TSS2_RC duplicate(ESYS_TR object, ESYS_TR new_parent, ESYS_TR authorization)
    {
        TPM2B_DATA* key = nullptr;
        TPM2B_PRIVATE* out = nullptr;
        TPM2B_ENCRYPTED_SECRET* out_seed = nullptr;
        const TSS2_RC rc = Esys_Duplicate(chip.esys(), object, new_parent, authorization, none, none, nullptr,
                                          &no_inner, &key, &out, &out_seed);
        Esys_Free(key);
        Esys_Free(out);
        Esys_Free(out_seed);
        return rc;
    }
    TSS2_RC rewrap(ESYS_TR old_parent, ESYS_TR authorization, const Importable& blob, Bytes* rewrapped = nullptr)
    {
        const auto object = unmarshal<TPM2B_PUBLIC>(blob.object).or_throw();
        const auto sensitive = unmarshal<TPM2B_PRIVATE>(blob.duplicate).or_throw();
        const auto name = to_tpm2b<TPM2B_NAME>(name_of(object.publicArea));
        const auto encrypted =
            blob.seed.empty() ? TPM2B_ENCRYPTED_SECRET{} : unmarshal<TPM2B_ENCRYPTED_SECRET>(blob.seed).or_throw();
        TPM2B_PRIVATE* out = nullptr;
        TPM2B_ENCRYPTED_SECRET* out_seed = nullptr;
        const TSS2_RC rc = Esys_Rewrap(chip.esys(), old_parent, ESYS_TR_RH_NULL, authorization, none, none, &sensitive,
                                       &name, &encrypted, &out, &out_seed);
        if (out != nullptr && rewrapped != nullptr)
            *rewrapped = marshal(*out);
        Esys_Free(out);
        Esys_Free(out_seed);
        return rc;
    }
    ESYS_TR may(TPM2_CC command)
    {
        const ESYS_TR session = chip.session(TPM2_SE_POLICY);
        check(Esys_PolicyCommandCode(chip.esys(), session, none, none, none, command), "PolicyCommandCode");
        return session;
    }

    Chip chip;
    Object storage = chip.storage_key();
    SoftwareKey parent_key;
    Secret seed = make_parent_seed();
    Importable wrapped = wrap_parent(storage.area, parent_of(parent_key), parent_key.scalar(), seed);
    Object parent = chip.import(storage.tr, wrapped);
    const Bytes message = to_bytes("message");
};

TEST_F(Child, B5_EccKeyIsLoadedUnderTheImportedParentAndSigns)
{
    const SoftwareKey key;
    const Object loaded = load(importable_ecc_key(key.x(), key.y(), {}), key.scalar());
    EXPECT_TRUE(check_signature(loaded.area, message, marshal(sign(loaded, scheme(TPM2_ALG_ECDSA), message))));
}

TEST_F(Child, B5_RsaKeyIsLoadedUnderTheImportedParentAndSigns)
{
    const SoftwareRsaKey key;
    const Object loaded = load(importable_rsa_key(key.modulus(), {}), key.prime());
    EXPECT_TRUE(key.verifies(message, view(sign(loaded, scheme(TPM2_ALG_RSASSA), message).signature.rsassa.sig)));
}

TEST_F(Child, B4_HmacKeyIsLoadedUnderTheImportedParentAndAuthenticates)
{
    const Secret key = random_secret(32);
    const Object loaded = load(importable_hmac_key({}), key);
    const auto data = to_tpm2b<TPM2B_MAX_BUFFER>(message);
    TPM2B_DIGEST* mac = nullptr;
    check(Esys_HMAC(chip.esys(), loaded.tr, ESYS_TR_PASSWORD, none, none, &data, TPM2_ALG_NULL, &mac), "HMAC");
    Bytes expected(32);
    ASSERT_NE(EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, key.data(), key.size(), message.data(),
                        message.size(), expected.data(), expected.size(), nullptr),
              nullptr);
    EXPECT_TRUE(equal(view(take(mac)), expected));
}

TEST_F(Child, B17_IsLoadedAgainAfterClear)
{
    const SoftwareKey key;
    const Loadable child = make_child(parent.area, seed, importable_ecc_key(key.x(), key.y(), {}), key.scalar());
    chip.clear();
    parent = chip.import(chip.storage_key().tr, wrapped);
    const Object loaded = load(child);
    EXPECT_TRUE(check_signature(loaded.area, message, marshal(sign(loaded, scheme(TPM2_ALG_ECDSA), message))));
}

TEST_F(Child, Attack43_RootDuplicatesNeitherParentNorChild)
{
    const SoftwareKey key;
    const Object child = load(importable_ecc_key(key.x(), key.y(), {}), key.scalar());
    for (const ESYS_TR object : {parent.tr, child.tr}) {
        EXPECT_TRUE(refused_by_tpm(duplicate(object, ESYS_TR_RH_NULL, ESYS_TR_PASSWORD)));
        for (const TPM2_CC command : {TPM2_CC_Duplicate, TPM2_CC_Import, TPM2_CC_Load, TPM2_CC_Rewrap}) {
            const ESYS_TR session = may(command);
            EXPECT_TRUE(refused_by_tpm(duplicate(object, ESYS_TR_RH_NULL, session)));
            Esys_FlushContext(chip.esys(), session);
        }
    }
}

// Importable under the parent it would have been enough to TPM2_Rewrap; and that there is no policy to satisfy is not
// all that holds it: with one that leads to Duplicate it stays, too.
TEST_F(Child, Attack43_ThereIsNoDuplicateOfAChildWhateverItsPolicy)
{
    const SoftwareKey key;
    const Bytes policy = chip.trial([&](ESYS_TR session) {
        check(Esys_PolicyCommandCode(chip.esys(), session, none, none, none, TPM2_CC_Duplicate), "PolicyCommandCode");
    });
    const TPMT_PUBLIC area = importable_ecc_key(key.x(), key.y(), policy);
    const Object movable = chip.import(storage.tr, wrap(storage.area, area, key.scalar()));
    EXPECT_EQ(duplicate(movable.tr, ESYS_TR_RH_NULL, may(TPM2_CC_Duplicate)), TSS2_RC_SUCCESS)
        << "the attempt is a good one";
    chip.flush(movable.tr);
    const Object child = load(area, key.scalar());
    EXPECT_EQ(duplicate(child.tr, ESYS_TR_RH_NULL, may(TPM2_CC_Duplicate)) & 0xff, TSS2_RC{TPM2_RC_ATTRIBUTES} & 0xff);
}

TEST_F(Child, Attack43_RewrapGivesNeitherParentNorChildAway)
{
    const SoftwareKey key;
    const Loadable child = make_child(parent.area, seed, importable_ecc_key(key.x(), key.y(), {}), key.scalar());
    EXPECT_TRUE(refused_by_tpm(rewrap(storage.tr, ESYS_TR_PASSWORD, wrapped)));
    EXPECT_TRUE(refused_by_tpm(rewrap(storage.tr, may(TPM2_CC_Rewrap), wrapped)));
    // The parent's authorization is everybody's; so what counts is that a child is nothing that it can rewrap.
    const Seed any = make_seed(parent.area, "DUPLICATE").or_throw();
    const auto area = importable_ecc_key(key.x(), key.y(), {});
    const Bytes careless = outer_wrap(parent.area, any.value, name_of(area), key.scalar());
    EXPECT_EQ(rewrap(parent.tr, ESYS_TR_PASSWORD,
                     {marshal(TPM2B_PUBLIC{.size = 0, .publicArea = area}), marshal(to_tpm2b<TPM2B_PRIVATE>(careless)),
                      any.encrypted}),
              TSS2_RC_SUCCESS)
        << "what would be wrapped for the parent is anybody's";
    for (const Bytes& encrypted : {any.encrypted, Bytes()})
        EXPECT_TRUE(refused_by_tpm(rewrap(parent.tr, ESYS_TR_PASSWORD, {child.object, child.sensitive, encrypted})));
    Bytes rewrapped;
    EXPECT_EQ(rewrap(ESYS_TR_RH_NULL, ESYS_TR_PASSWORD, {child.object, child.sensitive, {}}, &rewrapped),
              TSS2_RC_SUCCESS);
    EXPECT_EQ(rewrapped, child.sensitive) << "from no parent to none nothing is opened";
}

TEST_F(Child, BelongsToItsParentAndItsPublicArea)
{
    const SoftwareKey key, other;
    const Loadable child = make_child(parent.area, seed, importable_ecc_key(key.x(), key.y(), {}), key.scalar());
    ESYS_TR tr = none;
    EXPECT_NE(
        try_load(parent.tr,
                 make_child(parent.area, make_parent_seed(), importable_ecc_key(key.x(), key.y(), {}), key.scalar()),
                 tr),
        TSS2_RC_SUCCESS);
    const Loadable another =
        make_child(parent.area, seed, importable_ecc_key(other.x(), other.y(), {}), other.scalar());
    EXPECT_NE(try_load(parent.tr, {another.object, child.sensitive}, tr), TSS2_RC_SUCCESS);
    for (std::size_t at = 2; at < child.sensitive.size(); ++at) {
        Loadable flipped = child;
        flipped.sensitive[at] ^= 1;
        ASSERT_NE(try_load(parent.tr, flipped, tr), TSS2_RC_SUCCESS) << at;
    }
}

TEST_F(Child, Attack10_NothingOfTwoChildrenIsTheSame)
{
    const SoftwareKey key;
    const auto area = importable_ecc_key(key.x(), key.y(), {});
    EXPECT_TRUE(differ_throughout(BytesView(make_child(parent.area, seed, area, key.scalar()).sensitive).subspan(4),
                                  BytesView(make_child(parent.area, seed, area, key.scalar()).sensitive).subspan(4)));
}

TEST_F(Child, OnlyATemplateParentIsWrappedOrHasChildren)
{
    const SoftwareKey key;
    const auto refused = [&](const TPMT_PUBLIC& area, const Secret& with) {
        const bool child = test::reason_of([&] {
                               make_child(area, with, importable_hmac_key({}), random_secret(32));
                           }) == Reason::invalid_argument;
        const bool wrap = test::reason_of([&] { wrap_parent(storage.area, area, parent_key.scalar(), with); }) ==
            Reason::invalid_argument;
        EXPECT_EQ(child, wrap);
        return child && wrap;
    };
    EXPECT_FALSE(refused(parent.area, seed));
    EXPECT_TRUE(refused(parent.area, random_secret(16)));
    EXPECT_TRUE(refused(storage.area, seed));
    EXPECT_TRUE(refused(importable_ecc_key(key.x(), key.y(), {}), seed));
    TPMT_PUBLIC off_curve = parent.area;
    off_curve.unique.ecc.x.buffer[5] ^= 1;
    EXPECT_TRUE(refused(off_curve, seed));
    EXPECT_EQ(test::reason_of([&] { wrap_parent(parent.area, parent.area, parent_key.scalar(), seed); }),
              Reason::storage_key_invalid);
}

} // namespace
} // namespace imprint::structures
