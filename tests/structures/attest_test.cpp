// SPDX-License-Identifier: Apache-2.0
// Attestations of a TPM are accepted; those of another kind, object, key, hierarchy or conversation are not.
#include "daemon/structures/attest.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/policy.h"
#include "daemon/structures/templates.h"
#include "tests/structures/chip.h"
#include "tests/structures/software_key.h"

#include <gtest/gtest.h>

namespace imprint::structures {
namespace {

template <class T>
::testing::AssertionResult refused(const Result<T>& result)
{
    if (result)
        return ::testing::AssertionFailure() << "accepted";
    return ::testing::AssertionResult(result.refusal().reason == Reason::attestation_invalid)
        << result.refusal().detail;
}

class Attest : public testing::Test {
protected:
    Bytes qualified(const TPMT_PUBLIC& area) { return qualified_name_of_primary(TPM2_RH_ENDORSEMENT, area); }
    Expectation expected() { return {identity.area, identity_qualified, nonce}; }

    Chip chip;
    std::uint64_t even = chip.define_epoch();
    Object identity = chip.identity_key();
    const Bytes identity_qualified = qualified(identity.area);
    const Bytes nonce = random_bytes(32);
    const Bytes epoch_name = name_of(epoch_index(epoch_handle, true));
};

TEST_F(Attest, GenuineOnesAreAccepted)
{
    const Object storage = chip.storage_key();
    const ModuleKey key = chip.create_module_key(storage.tr, module_key_template(epoch_name, even + 1));
    const Bytes hash = digest(TPM2_ALG_SHA256, BytesView(marshal(key.creation_data)).subspan(2));
    EXPECT_TRUE(
        check_creation(chip.certify_creation(identity.tr, key, nonce), expected(), name_of(key.object.area), hash));
    EXPECT_TRUE(check_certify(chip.certify(identity.tr, storage.tr, nonce), expected(), name_of(storage.area),
                              qualified(storage.area)));
    const Result<std::uint64_t> value =
        check_nv_certify(chip.certify_epoch(identity.tr, nonce), expected(), epoch_name);
    ASSERT_TRUE(value);
    EXPECT_EQ(*value, even);
}

TEST_F(Attest, Attack18_NothingElseIsACreationProof)
{
    const Object storage = chip.storage_key();
    const ModuleKey key = chip.create_module_key(storage.tr, module_key_template(epoch_name, even + 1));
    for (const Attestation& attestation : {chip.certify_epoch(identity.tr, nonce), chip.quote(identity.tr, nonce),
                                           chip.certify(identity.tr, key.object.tr, nonce)})
        EXPECT_TRUE(refused(check_creation(attestation, expected(), key.object.name, view(key.creation_hash))));
    const Attestation creation = chip.certify_creation(identity.tr, key, nonce);
    EXPECT_TRUE(refused(check_certify(creation, expected(), key.object.name, key.object.qualified_name)));
    EXPECT_TRUE(refused(check_nv_certify(creation, expected(), epoch_name)));
}

TEST_F(Attest, Attack18_AnyAlteredByteIsRefused)
{
    const Attestation good = chip.certify_epoch(identity.tr, nonce);
    for (std::size_t i = 0; i < good.attest.size() + good.signature.size(); ++i) {
        Attestation altered = good;
        (i < good.attest.size() ? altered.attest[i] : altered.signature[i - good.attest.size()]) ^= 0x01;
        EXPECT_TRUE(refused(check_nv_certify(altered, expected(), epoch_name))) << i;
    }
}

TEST_F(Attest, Attack18_AnotherConversationOrExpectationIsRefused)
{
    const Attestation good = chip.certify_epoch(identity.tr, nonce);
    const Bytes other(32), empty;
    EXPECT_TRUE(refused(check_nv_certify(good, {identity.area, identity_qualified, other}, epoch_name)));
    EXPECT_TRUE(refused(check_nv_certify(good, {identity.area, other, nonce}, epoch_name)));
    EXPECT_TRUE(refused(check_nv_certify(good, expected(), other)));
    const Attestation unbound = chip.certify_epoch(identity.tr, empty);
    EXPECT_TRUE(refused(check_nv_certify(unbound, {identity.area, identity_qualified, empty}, epoch_name)));
    Object another = chip.create_primary(ESYS_TR_RH_OWNER, identity_key_template());
    EXPECT_TRUE(refused(check_nv_certify(good, {another.area, identity_qualified, nonce}, epoch_name)));
}

TEST_F(Attest, Attack42_ACloneInAnotherHierarchyIsRefused)
{
    for (const ESYS_TR hierarchy : {ESYS_TR_RH_NULL, ESYS_TR_RH_OWNER}) {
        const Object clone = chip.create_primary(hierarchy, storage_key_template());
        ASSERT_TRUE(is_storage_key(clone.area)); // the public area does not tell
        const Attestation attestation = chip.certify(identity.tr, clone.tr, nonce);
        EXPECT_TRUE(refused(check_certify(attestation, expected(), clone.name, qualified(clone.area))));
        chip.flush(clone.tr);
        const Object signer = chip.create_primary(hierarchy, identity_key_template());
        const Attestation by_clone = chip.certify_epoch(signer.tr, nonce);
        const Bytes claimed = qualified(signer.area);
        EXPECT_TRUE(refused(check_nv_certify(by_clone, {signer.area, claimed, nonce}, epoch_name)));
        chip.flush(signer.tr);
    }
}

TEST_F(Attest, Attack41_AnOrdinaryIndexDoesNotPassForTheEpoch)
{
    TPMS_NV_PUBLIC ordinary = epoch_index(epoch_handle, true);
    ordinary.attributes &= ~TPMA_NV_TPM2_NT_MASK;
    EXPECT_FALSE(is_epoch_index(ordinary));
    EXPECT_NE(policy_epoch(name_of(ordinary), even + 1), policy_epoch(epoch_name, even + 1));
}

// A signer that signs what a TPM never would: each check has to stand by itself.
class Forged : public testing::Test {
protected:
    Forged()
    {
        attest.magic = TPM2_GENERATED_VALUE;
        attest.type = TPM2_ST_ATTEST_CREATION;
        attest.qualifiedSigner = to_tpm2b<TPM2B_NAME>(qualified);
        attest.extraData = to_tpm2b<TPM2B_DATA>(nonce);
        attest.attested.creation = {.objectName = to_tpm2b<TPM2B_NAME>(object),
                                    .creationHash = to_tpm2b<TPM2B_DIGEST>(hash)};
    }
    Result<TPMS_ATTEST> creation(const TPMS_ATTEST& forged)
    {
        const Bytes bytes = marshal(forged);
        return check_creation({bytes, key.sign(bytes)}, {signer, qualified, nonce}, object, hash);
    }
    ::testing::AssertionResult altered(const std::function<void(TPMS_ATTEST&)>& alter)
    {
        TPMS_ATTEST forged = attest;
        alter(forged);
        return refused(creation(forged));
    }

    SoftwareKey key;
    const TPMT_PUBLIC signer = key.in(identity_key_template());
    const Bytes qualified = qualified_name_of_primary(TPM2_RH_ENDORSEMENT, signer);
    const Bytes nonce = random_bytes(32), object = random_bytes(34), hash = random_bytes(32);
    TPMS_ATTEST attest{};
};

TEST_F(Forged, Attack18_EachFieldIsChecked)
{
    ASSERT_TRUE(creation(attest));
    EXPECT_TRUE(altered([](TPMS_ATTEST& a) { a.magic ^= 1; }));
    EXPECT_TRUE(altered([](TPMS_ATTEST& a) { a.extraData.buffer[31] ^= 1; }));
    EXPECT_TRUE(altered([](TPMS_ATTEST& a) { a.extraData.size = 0; }));
    EXPECT_TRUE(altered([](TPMS_ATTEST& a) { a.qualifiedSigner.name[33] ^= 1; }));
    EXPECT_TRUE(altered([](TPMS_ATTEST& a) { a.attested.creation.objectName.name[33] ^= 1; }));
    EXPECT_TRUE(altered([](TPMS_ATTEST& a) { a.attested.creation.creationHash.buffer[31] ^= 1; }));
    // The same bytes under another type: certify has two names where creation has a name and a hash.
    EXPECT_TRUE(altered([](TPMS_ATTEST& a) { a.type = TPM2_ST_ATTEST_CERTIFY; }));
}

TEST_F(Forged, Attack18_TheSignerIsAnIdentityKeyAndSigned)
{
    const Bytes bytes = marshal(attest);
    const Attestation good{bytes, key.sign(bytes)};
    TPMT_PUBLIC unrestricted = signer;
    unrestricted.objectAttributes &= ~TPMA_OBJECT_RESTRICTED;
    EXPECT_TRUE(refused(check_creation(good, {unrestricted, qualified, nonce}, object, hash)));
    EXPECT_TRUE(refused(check_creation({bytes, SoftwareKey().sign(bytes)}, {signer, qualified, nonce}, object, hash)));
    EXPECT_TRUE(refused(check_creation({bytes, {}}, {signer, qualified, nonce}, object, hash)));
}

TEST_F(Forged, Attack18_OnlyTheWholeCounterCounts)
{
    const auto read = [&](UINT16 offset, BytesView contents) {
        TPMS_ATTEST nv = attest;
        nv.type = TPM2_ST_ATTEST_NV;
        nv.attested.nv = {.indexName = to_tpm2b<TPM2B_NAME>(object),
                          .offset = offset,
                          .nvContents = to_tpm2b<TPM2B_MAX_NV_BUFFER>(contents)};
        const Bytes bytes = marshal(nv);
        return check_nv_certify({bytes, key.sign(bytes)}, {signer, qualified, nonce}, object);
    };
    const Bytes counter{1, 2, 3, 4, 5, 6, 7, 8};
    ASSERT_TRUE(read(0, counter));
    EXPECT_EQ(*read(0, counter), 0x0102030405060708U);
    EXPECT_TRUE(refused(read(1, counter)));
    EXPECT_TRUE(refused(read(0, BytesView(counter).first(7))));
    EXPECT_TRUE(refused(read(0, {})));
}

TEST(Signature, OfAnotherAlgorithmIsRefused)
{
    const SoftwareKey key;
    const Bytes message = to_bytes("message"), signature = key.sign(message);
    const TPMT_PUBLIC signer = key.in(identity_key_template());
    EXPECT_TRUE(check_signature(signer, message, signature));
    EXPECT_EQ(check_signature(signer, to_bytes("other"), signature).refusal().reason, Reason::signature_invalid);
    TPMT_SIGNATURE other = unmarshal<TPMT_SIGNATURE>(signature).or_throw();
    other.signature.ecdsa.hash = TPM2_ALG_SHA1;
    EXPECT_FALSE(to_der_signature(marshal(other)));
    other = unmarshal<TPMT_SIGNATURE>(signature).or_throw();
    other.sigAlg = TPM2_ALG_ECSCHNORR;
    EXPECT_FALSE(to_der_signature(marshal(other)));
    EXPECT_FALSE(check_signature(ek_templates()[2].area, message, signature));
}

} // namespace
} // namespace imprint::structures
