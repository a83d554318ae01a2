// SPDX-License-Identifier: Apache-2.0
// What is wrapped without a TPM is imported, loaded and used by one; and by no other way.
#include "daemon/structures/wrap.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/policy.h"
#include "daemon/structures/templates.h"
#include "tests/structures/chip.h"
#include "tests/structures/software_key.h"
#include "tests/support/reason.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

namespace imprint::structures {
namespace {

constexpr ESYS_TR none = ESYS_TR_NONE;
const TPMT_TK_HASHCHECK no_ticket{.tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL, .digest = {}};

class Wrap : public testing::Test {
protected:
    ESYS_TR may(TPM2_CC command)
    {
        const ESYS_TR session = chip.session(TPM2_SE_POLICY);
        check(Esys_PolicyCommandCode(chip.esys(), session, none, none, none, command), "PolicyCommandCode");
        return session;
    }
    Bytes sign(const Object& key, const TPMT_SIG_SCHEME& scheme, BytesView message)
    {
        const auto hashed = to_tpm2b<TPM2B_DIGEST>(digest(TPM2_ALG_SHA256, message));
        TPMT_SIGNATURE* signature = nullptr;
        check(Esys_Sign(chip.esys(), key.tr, may(TPM2_CC_Sign), none, none, &hashed, &scheme, &no_ticket, &signature),
              "Sign");
        return marshal(take(signature));
    }
    Secret unseal(const Object& sealed)
    {
        TPM2B_SENSITIVE_DATA* data = nullptr;
        check(Esys_Unseal(chip.esys(), sealed.tr, may(TPM2_CC_Unseal), none, none, &data), "Unseal");
        return Secret(view(take(data)));
    }

    Chip chip;
    Object storage = chip.storage_key();
    const Bytes policy = policy_command_code(TPM2_CC_Sign);
};

TPMT_SIG_SCHEME scheme(TPMI_ALG_SIG_SCHEME alg)
{
    TPMT_SIG_SCHEME out{.scheme = alg, .details = {}};
    out.details.any.hashAlg = TPM2_ALG_SHA256;
    return out;
}

TEST_F(Wrap, EccKeyIsImportedAndSigns)
{
    const SoftwareKey key;
    const Importable wrapped = wrap(storage.area, importable_ecc_key(key.x(), key.y(), policy), key.scalar());
    const Object loaded = chip.import(storage.tr, wrapped);
    EXPECT_EQ(name_of(unmarshal<TPM2B_PUBLIC>(wrapped.object).or_throw().publicArea), loaded.name);
    const Bytes message = to_bytes("message");
    EXPECT_TRUE(check_signature(loaded.area, message, sign(loaded, scheme(TPM2_ALG_ECDSA), message)));
}

TEST_F(Wrap, RsaKeyIsImportedAndSigns)
{
    const SoftwareRsaKey key;
    const Object loaded =
        chip.import(storage.tr, wrap(storage.area, importable_rsa_key(key.modulus(), policy), key.prime()));
    const Bytes message = to_bytes("message");
    const auto signature = unmarshal<TPMT_SIGNATURE>(sign(loaded, scheme(TPM2_ALG_RSASSA), message)).or_throw();
    EXPECT_TRUE(key.verifies(message, view(signature.signature.rsassa.sig)));
}

TEST_F(Wrap, HmacKeyIsImportedAndAuthenticates)
{
    const Secret key = random_secret(32);
    const auto message = to_tpm2b<TPM2B_MAX_BUFFER>(to_bytes("message"));
    Bytes expected(32);
    ASSERT_NE(EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, key.data(), key.size(), message.buffer,
                        message.size, expected.data(), expected.size(), nullptr),
              nullptr);
    // Under a policy, and without one: then the empty authorization value serves.
    for (const Bytes& authorized_by : {policy_command_code(TPM2_CC_HMAC), Bytes()}) {
        const Object loaded = chip.import(storage.tr, wrap(storage.area, importable_hmac_key(authorized_by), key));
        const ESYS_TR session = authorized_by.empty() ? ESYS_TR_PASSWORD : may(TPM2_CC_HMAC);
        TPM2B_DIGEST* mac = nullptr;
        check(Esys_HMAC(chip.esys(), loaded.tr, session, none, none, &message, TPM2_ALG_NULL, &mac), "HMAC");
        EXPECT_TRUE(equal(view(take(mac)), expected));
        chip.flush(loaded.tr);
    }
}

TEST_F(Wrap, SealedSecretIsImportedAndUnsealed)
{
    for (const std::size_t size : {1U, 32U, 128U}) {
        const Secret secret = random_secret(size);
        const Object loaded = chip.import(storage.tr, wrap(storage.area, sealed_secret_template(), secret));
        EXPECT_TRUE(equal(unseal(loaded).view(), secret.view()));
        chip.flush(loaded.tr);
    }
}

TEST_F(Wrap, IsImportedAgainAfterClear)
{
    const Secret secret = random_secret(32);
    const Importable wrapped = wrap(storage.area, sealed_secret_template(), secret);
    chip.clear();
    const Object again = chip.storage_key();
    EXPECT_EQ(again.name, storage.name);
    EXPECT_TRUE(equal(unseal(chip.import(again.tr, wrapped)).view(), secret.view()));
}

TEST_F(Wrap, Attack43_StorageKeyDoesNotRewrap)
{
    const Importable wrapped = wrap(storage.area, sealed_secret_template(), random_secret(32));
    const auto duplicate = unmarshal<TPM2B_PRIVATE>(wrapped.duplicate).or_throw();
    const auto seed = unmarshal<TPM2B_ENCRYPTED_SECRET>(wrapped.seed).or_throw();
    const auto name = to_tpm2b<TPM2B_NAME>(name_of(unmarshal<TPM2B_PUBLIC>(wrapped.object).or_throw().publicArea));
    const auto rewrap = [&](ESYS_TR session) {
        TPM2B_PRIVATE* out = nullptr;
        TPM2B_ENCRYPTED_SECRET* out_seed = nullptr;
        return Esys_Rewrap(chip.esys(), storage.tr, none, session, none, none, &duplicate, &name, &seed, &out,
                           &out_seed);
    };
    EXPECT_EQ(rewrap(ESYS_TR_PASSWORD) & 0xfff, TSS2_RC{TPM2_RC_AUTH_UNAVAILABLE});
    EXPECT_NE(rewrap(chip.storage_session(TPM2_CC_Import)), TSS2_RC_SUCCESS);
    EXPECT_NE(rewrap(may(TPM2_CC_Rewrap)), TSS2_RC_SUCCESS);
}

TEST_F(Wrap, Attack10_NothingOfTwoWrapsIsTheSame)
{
    const SoftwareKey key;
    const Secret value = random_secret(32);
    const auto objects = {std::pair{importable_ecc_key(key.x(), key.y(), policy), key.scalar().clone()},
                          std::pair{importable_hmac_key(policy), value.clone()},
                          std::pair{sealed_secret_template(), value.clone()}};
    for (const auto& [object, secret] : objects) {
        const Importable one = wrap(storage.area, object, secret), other = wrap(storage.area, object, secret);
        EXPECT_TRUE(differ_throughout(one.seed, other.seed));
        EXPECT_TRUE(differ_throughout(one.duplicate, other.duplicate));
        EXPECT_EQ(one.object == other.object, object.type == TPM2_ALG_ECC);
    }
}

TEST_F(Wrap, Attack43_ParentIsTheChipStorageKeyAndNothingElse)
{
    const auto refused = [&](TPMT_PUBLIC parent) {
        return test::reason_of([&] { wrap(parent, sealed_secret_template(), random_secret(32)); }) ==
            Reason::storage_key_invalid;
    };
    EXPECT_FALSE(refused(storage.area));
    TPMT_PUBLIC with_auth = storage.area, without_policy = storage.area, off_curve = storage.area;
    with_auth.objectAttributes |= TPMA_OBJECT_USERWITHAUTH;
    without_policy.authPolicy.size = 0;
    off_curve.unique.ecc.x.buffer[5] ^= 1;
    EXPECT_TRUE(refused(with_auth));
    EXPECT_TRUE(refused(without_policy));
    EXPECT_TRUE(refused(off_curve));
    EXPECT_TRUE(refused(chip.identity_key().area));
    EXPECT_TRUE(refused(storage_key_template()));
    EXPECT_TRUE(refused({}));
}

TEST_F(Wrap, ObjectAndValueBelongTogether)
{
    const SoftwareKey key, other;
    const SoftwareRsaKey rsa;
    const TPMT_PUBLIC ecc = importable_ecc_key(key.x(), key.y(), policy);
    const auto refused = [&](const TPMT_PUBLIC& object, const Secret& value) {
        return test::reason_of([&] { wrap(storage.area, object, value); }) == Reason::invalid_argument;
    };
    EXPECT_FALSE(refused(ecc, key.scalar()));
    EXPECT_TRUE(refused(ecc, other.scalar()));
    EXPECT_TRUE(refused(ecc, Secret(key.scalar().view().first(31))));
    EXPECT_TRUE(refused(importable_rsa_key(rsa.modulus(), policy), SoftwareRsaKey().prime()));
    EXPECT_TRUE(refused(importable_hmac_key(policy), Secret()));
    EXPECT_TRUE(refused(importable_hmac_key(policy), random_secret(65)));
    EXPECT_TRUE(refused(sealed_secret_template(), random_secret(129)));
    for (const TPMA_OBJECT bit : {TPMA_OBJECT_FIXEDTPM, TPMA_OBJECT_FIXEDPARENT, TPMA_OBJECT_ENCRYPTEDDUPLICATION}) {
        TPMT_PUBLIC object = sealed_secret_template();
        object.objectAttributes |= bit;
        EXPECT_TRUE(refused(object, random_secret(32)));
    }
    EXPECT_TRUE(refused(TPMT_PUBLIC{.type = TPM2_ALG_SYMCIPHER}, random_secret(32)));
}

} // namespace
} // namespace imprint::structures
