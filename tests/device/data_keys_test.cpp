// SPDX-License-Identifier: Apache-2.0
// The data package's keys at work in a device that was really personalized: each does what its kind can, checked by
// OpenSSL on the manufacturer's side, and nothing else.
#include "daemon/pki/key.h"
#include "provisioning/device/data_keys.h"
#include "provisioning/station/channel_key.h"
#include "tests/device/fixture.h"

#include <openssl/core_names.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/rsa.h>

namespace imprint::test {

namespace {

using station::DerivedKey;
using station::OpaqueSecret;
using station::PairKey;
using station::PairKind;
using structures::KeyUse;
using Operation = device::KeyUse::Operation;
using Context = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;

const std::string passphrase = "correct horse battery staple";

station::PackageProfile everything()
{
    const auto content = std::make_shared<const Secret>(as_bytes(passphrase));
    return {{{"channel", DerivedKey{"channel", 1}},
             {"p256", PairKey{PairKind::p256}},
             {"p384", PairKey{PairKind::p384}},
             {"rsa2048", PairKey{PairKind::rsa2048}},
             {"agree", PairKey{PairKind::p256, KeyUse::decrypt}},
             {"agree384", PairKey{PairKind::p384, KeyUse::decrypt}},
             {"decrypt", PairKey{PairKind::rsa2048, KeyUse::decrypt}},
             {"wifi", OpaqueSecret{content, {}}}}};
}

pki::Key public_key(const device::KeyInfo& info)
{
    const std::uint8_t* data = info.public_key.data();
    return pki::Key(d2i_PUBKEY(nullptr, &data, static_cast<long>(info.public_key.size())));
}

Bytes digest(const char* algorithm, BytesView message)
{
    Bytes out(EVP_MAX_MD_SIZE);
    std::size_t size = 0;
    EVP_Q_digest(nullptr, algorithm, nullptr, message.data(), message.size(), out.data(), &size);
    out.resize(size);
    return out;
}

// Whether the signature of the digest is the key's, by the algorithm of this name.
bool verifies(const pki::Key& key, const std::string& algorithm, BytesView hashed, BytesView signature)
{
    const Context context(EVP_PKEY_CTX_new(key.get(), nullptr));
    EVP_PKEY_verify_init(context.get());
    EVP_PKEY_CTX_set_signature_md(context.get(), algorithm.ends_with("384") ? EVP_sha384() : EVP_sha256());
    if (algorithm.starts_with("rsa"))
        EVP_PKEY_CTX_set_rsa_padding(context.get(),
                                     algorithm.starts_with("rsa-pss") ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING);
    return EVP_PKEY_verify(context.get(), signature.data(), signature.size(), hashed.data(), hashed.size()) == 1;
}

Bytes hmac_sha256(BytesView key, BytesView message)
{
    Bytes out(32);
    unsigned size = 0;
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), message.data(), message.size(), out.data(), &size);
    return out;
}

// SP 800-108 in counter mode, as OpenSSL has it.
Bytes kbkdf(BytesView key, BytesView context, std::size_t length)
{
    const Owned<EVP_KDF, EVP_KDF_free> kdf(EVP_KDF_fetch(nullptr, "KBKDF", nullptr));
    const Owned<EVP_KDF_CTX, EVP_KDF_CTX_free> derivation(EVP_KDF_CTX_new(kdf.get()));
    std::string mac = "HMAC", hash = "SHA256", label = "imprint/1 derive";
    Bytes secret(key.begin(), key.end()), info(context.begin(), context.end());
    const OSSL_PARAM parameters[]{OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MAC, mac.data(), 0),
                                  OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, hash.data(), 0),
                                  OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret.data(), secret.size()),
                                  OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, label.data(), label.size()),
                                  OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info.data(), info.size()),
                                  OSSL_PARAM_END};
    Bytes out(length);
    EXPECT_EQ(EVP_KDF_derive(derivation.get(), out.data(), out.size(), parameters), 1);
    return out;
}

Bytes agree_with(const pki::Key& own, const pki::Key& other)
{
    const Context context(EVP_PKEY_CTX_new(own.get(), nullptr));
    EVP_PKEY_derive_init(context.get());
    EVP_PKEY_derive_set_peer(context.get(), other.get());
    std::size_t size = 0;
    EVP_PKEY_derive(context.get(), nullptr, &size);
    Bytes out(size);
    EVP_PKEY_derive(context.get(), out.data(), &size);
    out.resize(size);
    return out;
}

Bytes encrypt_to(const pki::Key& key, BytesView message)
{
    const Context context(EVP_PKEY_CTX_new(key.get(), nullptr));
    EVP_PKEY_encrypt_init(context.get());
    EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING);
    EVP_PKEY_CTX_set_rsa_oaep_md(context.get(), EVP_sha256());
    std::size_t size = 0;
    EVP_PKEY_encrypt(context.get(), nullptr, &size, message.data(), message.size());
    Bytes out(size);
    EVP_PKEY_encrypt(context.get(), out.data(), &size, message.data(), message.size());
    return out;
}

class DataKeys : public DeviceTest {
protected:
    DataKeys() { station.give(everything()); }

    device::KeyInfo key(const std::string& label) { return box.device().key(label); }
    Bytes use(Operation operation, const std::string& label, BytesView input = {}, const std::string& algorithm = {},
              std::size_t length = 0)
    {
        const Secret out =
            box.device().use_key({operation, label, algorithm, Bytes(input.begin(), input.end()), length});
        return {out.begin(), out.end()};
    }
    // The station's own copy, as the manufacturer would derive it.
    Secret channel_key()
    {
        const auto status = box.device().status();
        return station::derive_channel_key(Secret(Bytes(32, 0x4d)), "channel", 1,
                                           {status.identity_kind, status.identity_value});
    }
};

TEST_F(DataKeys, B5_B13_B21_PairsSignInsideTheTpm)
{
    bring_up();
    for (const auto* label : {"p256", "p384", "rsa2048"}) {
        const auto info = key(label);
        ASSERT_FALSE(info.algorithms.empty()) << label;
        for (const auto& algorithm : info.algorithms) {
            const Bytes hashed = digest(algorithm.ends_with("384") ? "SHA384" : "SHA256", as_bytes("message"));
            const Bytes signature = use(Operation::sign, label, hashed, algorithm);
            EXPECT_TRUE(verifies(public_key(info), algorithm, hashed, signature)) << label << " " << algorithm;
            EXPECT_FALSE(verifies(public_key(info), algorithm, digest("SHA256", as_bytes("other")), signature));
        }
        EXPECT_TRUE(verifies(public_key(info), info.algorithms.front(), Bytes(32, 7),
                             use(Operation::sign, label, Bytes(32, 7))))
            << "without a wish";
    }
}

TEST_F(DataKeys, B3_B4_B11_B12_B20_BothEndsHaveTheSameSymmetricKey)
{
    bring_up();
    const Secret ours = channel_key();
    EXPECT_EQ(use(Operation::hmac, "channel", as_bytes("challenge")), hmac_sha256(ours.view(), as_bytes("challenge")));
    for (const std::size_t length : {1U, 16U, 32U, 33U, 256U})
        EXPECT_EQ(use(Operation::derive, "channel", as_bytes("telemetry"), {}, length),
                  kbkdf(ours.view(), as_bytes("telemetry"), length))
            << length;
    EXPECT_NE(use(Operation::derive, "channel", as_bytes("a"), {}, 32),
              use(Operation::derive, "channel", as_bytes("b"), {}, 32));
    const Bytes longest(device::max_hmac_message, 'x');
    EXPECT_EQ(use(Operation::hmac, "channel", longest), hmac_sha256(ours.view(), longest));
}

TEST_F(DataKeys, B5_B14_B22_AgreementAndDecryptionWorkWithOpenssl)
{
    bring_up();
    for (const auto* label : {"agree", "agree384"}) {
        const pki::Key other = pki::generate_key(std::string_view(label).ends_with("384") ? "P-384" : "P-256");
        EXPECT_EQ(use(Operation::agree, label, pki::spki(other.get())), agree_with(other, public_key(key(label))));
    }
    const Bytes ciphertext = encrypt_to(public_key(key("decrypt")), as_bytes("a session key"));
    EXPECT_EQ(to_string(use(Operation::decrypt, "decrypt", ciphertext)), "a session key");
    Bytes changed = ciphertext;
    changed.back() ^= 1U;
    // TPM 2.0 wants TPM_RC_VALUE; swtpm says TPM_RC_FAILURE, and goes on.
    EXPECT_THAT(reason_of([&] { use(Operation::decrypt, "decrypt", changed); }),
                testing::AnyOf(Reason::tpm_refused, Reason::tpm_failed));
    EXPECT_EQ(to_string(use(Operation::decrypt, "decrypt", ciphertext)), "a session key") << "and nothing is broken";
    EXPECT_EQ(to_string(use(Operation::open, "wifi")), passphrase);
}

TEST_F(DataKeys, B17_TheyAreBackAfterTpmClear)
{
    bring_up();
    const Bytes mac = use(Operation::hmac, "channel", as_bytes("challenge"));
    const auto status = box.device().status();
    const Bytes record = box.device().export_backup();
    box.kill();
    box.tpm.clear();
    box.boot();
    EXPECT_EQ(reason_of([&] { use(Operation::hmac, "channel", as_bytes("challenge")); }), Reason::wrong_state);
    box.restore(record, status.sequence);
    ASSERT_EQ(name(box.state()), name(State::recovered));
    EXPECT_EQ(use(Operation::hmac, "channel", as_bytes("challenge")), mac);
    EXPECT_EQ(to_string(use(Operation::open, "wifi")), passphrase);
}

TEST_F(DataKeys, EachDoesWhatItIsForAndNothingElse)
{
    box.personalize(station);
    EXPECT_EQ(reason_of([&] { key("channel"); }), Reason::wrong_state) << "not before the switch";
    box.device().enter_operating({});

    const auto point = pki::spki(pki::generate_key("P-256").get());
    EXPECT_EQ(reason_of([&] { key("none"); }), Reason::data_key_not_found);
    EXPECT_EQ(reason_of([&] { use(Operation::sign, "none", Bytes(32)); }), Reason::data_key_not_found);
    EXPECT_EQ(reason_of([&] { use(Operation::sign, "channel", Bytes(32)); }), Reason::data_key_unsuitable);
    EXPECT_EQ(reason_of([&] { use(Operation::hmac, "p256", Bytes(32)); }), Reason::data_key_unsuitable);
    EXPECT_EQ(reason_of([&] { use(Operation::agree, "p256", point); }), Reason::data_key_unsuitable);
    EXPECT_EQ(reason_of([&] { use(Operation::decrypt, "rsa2048", Bytes(256)); }), Reason::data_key_unsuitable);
    EXPECT_EQ(reason_of([&] { use(Operation::open, "channel"); }), Reason::data_key_unsuitable);
    EXPECT_EQ(reason_of([&] { use(Operation::hmac, "wifi", Bytes(32)); }), Reason::data_key_unsuitable);
    EXPECT_EQ(reason_of([&] { use(Operation::sign, "p256", Bytes(32), "rsa-pss-sha256"); }),
              Reason::data_key_unsuitable);

    EXPECT_EQ(reason_of([&] { use(Operation::sign, "p256", Bytes(31)); }), Reason::invalid_argument);
    EXPECT_EQ(reason_of([&] { use(Operation::hmac, "channel", Bytes(1025)); }), Reason::invalid_argument);
    EXPECT_EQ(reason_of([&] { use(Operation::derive, "channel", Bytes(1), {}, 0); }), Reason::invalid_argument);
    EXPECT_EQ(reason_of([&] { use(Operation::derive, "channel", Bytes(1), {}, 257); }), Reason::invalid_argument);
    EXPECT_EQ(reason_of([&] { use(Operation::agree, "agree384", point); }), Reason::invalid_argument);
    EXPECT_EQ(reason_of([&] { use(Operation::agree, "agree", Bytes(10)); }), Reason::invalid_argument);
    EXPECT_EQ(reason_of([&] { use(Operation::decrypt, "decrypt", Bytes(257)); }), Reason::invalid_argument);

    box.device().enter_personalization({});
    EXPECT_EQ(reason_of([&] { key("channel"); }), Reason::wrong_state) << "nor after the way back";
}

TEST_F(DataKeys, Attack32_AUseLeavesNothingInTheTpmAndHasItsPrice)
{
    bring_up();
    const auto cost = [&](Operation operation, const char* label, BytesView input, std::size_t length = 0) {
        use(operation, label, input, {}, length);
        const auto before = box.wire.count();
        use(operation, label, input, {}, length);
        return box.wire.count() - before;
    };
    EXPECT_EQ(cost(Operation::hmac, "channel", as_bytes("x")), 6U);
    EXPECT_EQ(cost(Operation::derive, "channel", as_bytes("x"), 64), 7U);
    EXPECT_EQ(cost(Operation::sign, "p256", Bytes(32)), 7U);
    EXPECT_EQ(box.leftovers(), 0U);
    use(Operation::agree, "agree", pki::spki(pki::generate_key("P-256").get()));
    use(Operation::decrypt, "decrypt", encrypt_to(public_key(key("decrypt")), as_bytes("a session key")));
    use(Operation::open, "wifi");
    EXPECT_TRUE(reason_of([&] { use(Operation::decrypt, "decrypt", Bytes(256, 1)); }));
    EXPECT_EQ(box.leftovers(), 0U) << "nor what is refused";
}

// What a key is used for, and what comes of it, is not on the wire to the TPM.
TEST_F(DataKeys, Attack11_NothingSecretIsOnTheBus)
{
    bring_up();
    const Bytes ciphertext = encrypt_to(public_key(key("decrypt")), as_bytes("a session key"));
    const pki::Key other = pki::generate_key("P-256");
    box.wire.recording = true;
    const Bytes derived = use(Operation::derive, "channel", as_bytes("telemetry"), {}, 32);
    const Bytes shared = use(Operation::agree, "agree", pki::spki(other.get()));
    use(Operation::decrypt, "decrypt", ciphertext);
    use(Operation::open, "wifi");
    const std::vector<Bytes> secrets{derived, shared, to_bytes("a session key"), to_bytes(passphrase)};
    ASSERT_FALSE(box.wire.record().empty());
    for (const auto& exchange : box.wire.record())
        for (const auto& secret : secrets)
            for (const auto* bytes : {&exchange.command, &exchange.response})
                EXPECT_TRUE(std::ranges::search(*bytes, secret).empty());
}

} // namespace

} // namespace imprint::test
