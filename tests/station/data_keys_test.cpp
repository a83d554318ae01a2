// SPDX-License-Identifier: Apache-2.0
// Channels between manufacturer and device with what a data package holds: the device's half works in its TPM alone.
#include "backup/package/opaque_secret.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "provisioning/station/channel_key.h"
#include "provisioning/station/make_package.h"
#include "tests/station/fixture.h"
#include "tests/structures/chip.h"
#include "tests/tls/streams.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <openssl/core_names.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

namespace imprint::test {

namespace {

using station::PairKey;
using station::PairKind;
using structures::check;
using structures::KeyUse;
using structures::Object;
using structures::take;
using structures::to_tpm2b;
using PkeyCtx = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;

constexpr ESYS_TR none = ESYS_TR_NONE;
const pki::DeviceIdentity identity{"serial", "SN000001"};

Bytes hmac_sha256(const Secret& key, BytesView message)
{
    Bytes out(32);
    EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, key.data(), key.size(), message.data(), message.size(),
              out.data(), out.size(), nullptr);
    return out;
}

TPMT_SIG_SCHEME scheme(TPMI_ALG_SIG_SCHEME alg)
{
    TPMT_SIG_SCHEME out{.scheme = alg, .details = {}};
    out.details.any.hashAlg = TPM2_ALG_SHA256;
    return out;
}

Bytes der(const TPMS_SIGNATURE_ECC& signature)
{
    const auto number = [](const TPM2B_ECC_PARAMETER& value) { return BN_bin2bn(value.buffer, value.size, nullptr); };
    const Owned<ECDSA_SIG, ECDSA_SIG_free> both(ECDSA_SIG_new());
    ECDSA_SIG_set0(both.get(), number(signature.signatureR), number(signature.signatureS));
    Bytes out(static_cast<std::size_t>(i2d_ECDSA_SIG(both.get(), nullptr)));
    unsigned char* end = out.data();
    i2d_ECDSA_SIG(both.get(), &end);
    return out;
}

bool verifies(EVP_PKEY* key, BytesView message, BytesView signature)
{
    const Owned<EVP_MD_CTX, EVP_MD_CTX_free> ctx(EVP_MD_CTX_new());
    return EVP_DigestVerifyInit(ctx.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
        EVP_DigestVerify(ctx.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
}

// The manufacturer encrypts to a device: RSA-OAEP with SHA-256.
Bytes encrypt(EVP_PKEY* key, BytesView message)
{
    const PkeyCtx ctx(EVP_PKEY_CTX_new(key, nullptr));
    Bytes out(static_cast<std::size_t>(EVP_PKEY_get_size(key)));
    std::size_t size = out.size();
    EVP_PKEY_encrypt_init(ctx.get());
    EVP_PKEY_CTX_set_rsa_padding(ctx.get(), RSA_PKCS1_OAEP_PADDING);
    EVP_PKEY_CTX_set_rsa_oaep_md(ctx.get(), EVP_sha256());
    EXPECT_EQ(EVP_PKEY_encrypt(ctx.get(), out.data(), &size, message.data(), message.size()), 1);
    return out;
}

// The manufacturer's half of ECDH.
Bytes agree(EVP_PKEY* own, EVP_PKEY* peer)
{
    const PkeyCtx ctx(EVP_PKEY_CTX_new(own, nullptr));
    std::size_t size = 0;
    EVP_PKEY_derive_init(ctx.get());
    EVP_PKEY_derive_set_peer(ctx.get(), peer);
    EVP_PKEY_derive(ctx.get(), nullptr, &size);
    Bytes out(size);
    EXPECT_EQ(EVP_PKEY_derive(ctx.get(), out.data(), &size), 1);
    return out;
}

Bytes coordinate(const EVP_PKEY* key, const char* name)
{
    BIGNUM* number = nullptr;
    EVP_PKEY_get_bn_param(key, name, &number);
    const Owned<BIGNUM, BN_free> owned(number);
    Bytes out((static_cast<std::size_t>(EVP_PKEY_get_bits(key)) + 7) / 8);
    BN_bn2binpad(number, out.data(), static_cast<int>(out.size()));
    return out;
}

class Channels : public StationTest {
protected:
    // What the station gives this chip.
    package::Entry give(station::ProfileEntry what)
    {
        station.profile.entries = {std::move(what)};
        station::Claim claim;
        claim.chip = chip_identifier;
        claim.storage_key = storage.area;
        claim.epoch = 6;
        const auto present = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
        return station::make_package(station, store, claim, identity, present).or_throw().entries(0);
    }
    Object load(const package::Entry& entry)
    {
        return chip.import(storage.tr, {to_bytes(entry.object()), to_bytes(entry.duplicate()), to_bytes(entry.seed())});
    }

    // What the device asks of its TPM.
    Bytes hmac(const Object& key, BytesView message)
    {
        const auto buffer = to_tpm2b<TPM2B_MAX_BUFFER>(message);
        TPM2B_DIGEST* mac = nullptr;
        check(Esys_HMAC(chip.esys(), key.tr, ESYS_TR_PASSWORD, none, none, &buffer, TPM2_ALG_NULL, &mac), "HMAC");
        const auto out = take(mac);
        return {out.buffer, out.buffer + out.size};
    }
    TPMT_SIGNATURE sign(const Object& key, TPMI_ALG_SIG_SCHEME alg, BytesView message)
    {
        constexpr TPMT_TK_HASHCHECK no_ticket{.tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL, .digest = {}};
        const auto digest = to_tpm2b<TPM2B_DIGEST>(structures::digest(TPM2_ALG_SHA256, message));
        const auto how = scheme(alg);
        TPMT_SIGNATURE* signature = nullptr;
        check(Esys_Sign(chip.esys(), key.tr, ESYS_TR_PASSWORD, none, none, &digest, &how, &no_ticket, &signature),
              "Sign");
        return take(signature);
    }
    tls::Signer signer(const Object& key)
    {
        return [this, key](BytesView message) { return der(sign(key, TPM2_ALG_ECDSA, message).signature.ecdsa); };
    }

    structures::Chip chip;
    Object storage = chip.storage_key();
    const std::string chip_identifier = std::string(64, 'a');
    tls::Cancel cancel;
    const pki::Trust trust = pki.trust();
};

pki::Certificate certificate_of(const package::Entry& entry)
{
    return pki::Certificate::from_der(as_bytes(entry.certificate())).or_throw();
}

pki::Key public_key(const pki::Certificate& certificate) { return pki::Key(X509_get_pubkey(certificate.x509())); }

// A challenge that only who has the key can answer; and a TLS 1.3 connection on a secret that both derive from it.
TEST_F(Channels, B3_B11_B21_TheSymmetricKeyIsTheSameAtBothEndsAndOpensAChannel)
{
    const auto key = load(give({"channel", station::DerivedKey{"channel", 2}}));
    const Secret manufacturers = station::derive_channel_key(station.master_key, "channel", 2, identity);
    const Bytes challenge = random_bytes(32);
    EXPECT_EQ(hmac(key, challenge), hmac_sha256(manufacturers, challenge));

    const auto context = to_bytes("psk of this connection");
    ServerSettings server{pki.station_tls};
    server.psk_identity = Bytes(32, 0x1d);
    server.psk = hmac_sha256(manufacturers, context);
    Server peer(std::move(server), echo(1));
    tls::ClientSettings client{
        .trust = trust, .server_role = pki::Role::station_tls, .server_name = "localhost", .alpn = "imprint/1"};
    client.psk = tls::PreSharedKey{Bytes(32, 0x1d), Secret(hmac(key, context))};
    tls::Stream stream(peer.client(), std::move(client), in(ample), cancel);
    stream.write(Bytes{1}, in(ample));
    EXPECT_EQ(stream.read(1, in(ample)), Bytes{1});
    EXPECT_TRUE(stream.used_psk());
}

TEST_F(Channels, B4_B12_ARaisedVersionGivesAnotherKeyAndTheFormerOneMayStay)
{
    const Bytes challenge = random_bytes(32);
    const auto answer = [&](station::ProfileEntry what) {
        const auto key = load(give(std::move(what)));
        const Bytes mac = hmac(key, challenge);
        chip.flush(key.tr);
        return mac;
    };
    const Bytes first = answer({"channel", station::DerivedKey{"channel", 1}});
    EXPECT_NE(answer({"channel", station::DerivedKey{"channel", 2}}), first);
    EXPECT_EQ(answer({"channel.former", station::DerivedKey{"channel", 1}}), first);
}

TEST_F(Channels, B6_B14_B22_APairWithItsCertificateOpensATlsConnection)
{
    const auto entry = give({"tls", PairKey{.kind = PairKind::p256, .certificate = true}});
    const auto certificate = certificate_of(entry);
    const auto key = load(entry);
    ServerSettings server{pki.station_tls};
    server.client_anchor = pki.root.certificate;
    Server peer(std::move(server), echo(1));
    tls::Provider provider;
    tls::ClientSettings client{
        .trust = trust, .server_role = pki::Role::station_tls, .server_name = "localhost", .alpn = "imprint/1"};
    client.identity = {{certificate, pki.station_signing.certificate}, provider.key(certificate.spki(), signer(key))};
    {
        tls::Stream stream(peer.client(), std::move(client), in(ample), cancel);
        stream.write(Bytes{1}, in(ample));
        EXPECT_EQ(stream.read(1, in(ample)), Bytes{1});
        stream.close();
    }
    EXPECT_EQ(peer.report().client_certificate, certificate.der());
}

TEST_F(Channels, B5_B23_PairsOfEveryKindSignWhatTheirCertificateVerifies)
{
    const Bytes message = to_bytes("message");
    for (const auto kind : {PairKind::p256, PairKind::p384, PairKind::rsa2048, PairKind::rsa3072}) {
        const auto entry = give({"key", PairKey{.kind = kind, .certificate = true}});
        const auto key = load(entry);
        const bool rsa = station::is_rsa(kind);
        const auto made = sign(key, rsa ? TPM2_ALG_RSASSA : TPM2_ALG_ECDSA, message);
        const auto& plain = made.signature.rsassa.sig;
        const Bytes signature = rsa ? Bytes(plain.buffer, plain.buffer + plain.size) : der(made.signature.ecdsa);
        EXPECT_TRUE(verifies(public_key(certificate_of(entry)).get(), message, signature)) << station::name(kind);
        chip.flush(key.tr);
    }
}

TEST_F(Channels, B23_PairsForDecryptionOpenWhatTheManufacturerEncrypted)
{
    const Bytes message = to_bytes("message");
    constexpr TPMT_RSA_DECRYPT oaep{.scheme = TPM2_ALG_OAEP, .details = {.oaep = {.hashAlg = TPM2_ALG_SHA256}}};
    const TPM2B_DATA no_label{};
    for (const auto kind : {PairKind::rsa2048, PairKind::rsa3072}) {
        const auto entry = give({"mail", PairKey{.kind = kind, .use = KeyUse::decrypt, .certificate = true}});
        const auto key = load(entry);
        const auto sealed = to_tpm2b<TPM2B_PUBLIC_KEY_RSA>(encrypt(public_key(certificate_of(entry)).get(), message));
        TPM2B_PUBLIC_KEY_RSA* opened = nullptr;
        check(Esys_RSA_Decrypt(chip.esys(), key.tr, ESYS_TR_PASSWORD, none, none, &sealed, &oaep, &no_label, &opened),
              "RSA_Decrypt");
        EXPECT_TRUE(equal(structures::view(take(opened)), message)) << station::name(kind);
        chip.flush(key.tr);
    }
}

TEST_F(Channels, B23_PairsForAgreementAgreeWithTheManufacturer)
{
    for (const auto kind : {PairKind::p256, PairKind::p384}) {
        const auto entry = give({"agree", PairKey{.kind = kind, .use = KeyUse::decrypt, .certificate = true}});
        const auto key = load(entry);
        const auto own = station::make_pair(kind);
        const TPM2B_ECC_POINT point{
            .size = 0,
            .point = {.x = to_tpm2b<TPM2B_ECC_PARAMETER>(coordinate(own.get(), OSSL_PKEY_PARAM_EC_PUB_X)),
                      .y = to_tpm2b<TPM2B_ECC_PARAMETER>(coordinate(own.get(), OSSL_PKEY_PARAM_EC_PUB_Y))}};
        TPM2B_ECC_POINT* shared = nullptr;
        check(Esys_ECDH_ZGen(chip.esys(), key.tr, ESYS_TR_PASSWORD, none, none, &point, &shared), "ECDH_ZGen");
        EXPECT_TRUE(
            equal(structures::view(take(shared).point.x), agree(own.get(), public_key(certificate_of(entry)).get())))
            << station::name(kind);
        chip.flush(key.tr);
    }
}

TEST_F(Channels, B3_AnOpaqueSecretIsOpenedByWhatItsChipGivesOut)
{
    const auto content = std::make_shared<const Secret>(random_secret(5000));
    const auto entry = give({"wifi", station::OpaqueSecret{content, {}}});
    TPM2B_SENSITIVE_DATA* data = nullptr;
    check(Esys_Unseal(chip.esys(), load(entry).tr, ESYS_TR_PASSWORD, none, none, &data), "Unseal");
    const Secret opening(structures::view(take(data)));
    const auto opened = package::open_secret(as_bytes(entry.enveloped()), opening, {chip_identifier, 7, "wifi"});
    ASSERT_TRUE(opened) << opened.refusal().detail;
    EXPECT_TRUE(equal(opened->view(), content->view()));
}

} // namespace

} // namespace imprint::test
