// SPDX-License-Identifier: Apache-2.0
// External pre-shared keys, with certificates to fall back on in the same handshake; connections that share a context;
// servers whose keys are pinned.
#include "tests/tls/streams.h"

namespace imprint::test {
namespace {

const Bytes identity(32, 0x1d);

class Psk : public Streams {
protected:
    ServerSettings server() const
    {
        ServerSettings settings{pki().station_tls};
        settings.psk_identity = identity;
        settings.psk = secret;
        settings.client_anchor = pki().root.certificate;
        return settings;
    }
    tls::PreSharedKey psk() const { return {identity, Secret(secret)}; }
    // Counts what the key of the certificate signs.
    tls::ClientSettings client()
    {
        auto with = settings(module, [this](BytesView message) {
            ++signatures;
            return signer_of(module.key.get())(message);
        });
        with.psk = psk();
        return with;
    }
    // Connects, carries a byte and says whether the PSK was used.
    bool used_psk(ServerSettings with, tls::ClientSettings own)
    {
        Server peer(std::move(with), echo(1));
        tls::Stream stream(peer.client(), std::move(own), in(ample), cancel);
        stream.write(Bytes{1}, in(ample));
        EXPECT_EQ(stream.read(1, in(ample)), Bytes{1});
        return stream.used_psk();
    }

    const Bytes secret = random_bytes(32);
    const Certified module = pki().module("1");
    int signatures = 0;
};

TEST_F(Psk, A32_ReplacesCertificatesOnBothSides)
{
    EXPECT_TRUE(used_psk(server(), client()));
    EXPECT_EQ(signatures, 0);
}

TEST_F(Psk, A32_AlsoAfterAHelloRetryRequest)
{
    auto with = server();
    with.groups = "P-256";
    EXPECT_TRUE(used_psk(std::move(with), client()));
    EXPECT_EQ(signatures, 0);
}

TEST_F(Psk, A32_AnUnknownIdentityFallsBackToCertificates)
{
    auto with = server();
    with.psk_identity = Bytes(32, 0x77);
    EXPECT_FALSE(used_psk(std::move(with), client()));
    EXPECT_EQ(signatures, 1);
}

TEST_F(Psk, A32_AServerWithoutPsksFallsBackToCertificates)
{
    auto with = server();
    with.psk_identity.clear();
    EXPECT_FALSE(used_psk(std::move(with), client()));
    EXPECT_EQ(signatures, 1);
}

TEST_F(Psk, AWrongSecretIsNoConnection)
{
    auto with = server();
    with.psk = random_bytes(32);
    Server peer(std::move(with));
    EXPECT_EQ(refusal(peer.client(), client()), Reason::malformed_message); // illegal_parameter: the binder
    EXPECT_EQ(signatures, 0);
}

TEST_F(Psk, Attack30_TheApplicationProtocolIsCheckedWithoutACertificateToo)
{
    auto with = server();
    with.alpn.clear();
    Server peer(std::move(with), until_closed);
    EXPECT_EQ(refusal(peer.client(), client()), Reason::unsupported_version);
}

TEST_F(Psk, Attack30_AServerThatFallsBackIsCheckedLikeAnyOther)
{
    auto with = server();
    with.psk_identity.clear();
    auto own = client();
    own.server_name = "elsewhere.example";
    Server peer(std::move(with));
    EXPECT_EQ(refusal(peer.client(), std::move(own)), Reason::wrong_name);
    EXPECT_EQ(signatures, 0);
}

TEST_F(Psk, A25_TheServersKeyIsOneOfThosePinned)
{
    const auto digest = [](const Certified& who) {
        const auto spki = who.certificate.spki();
        Bytes out(32);
        EVP_Q_digest(nullptr, "SHA256", nullptr, spki.data(), spki.size(), out.data(), nullptr);
        return out;
    };
    auto own = settings();
    own.server_keys = {{digest(pki().root), digest(pki().station_tls)}};
    Server good({pki().station_tls}, until_closed);
    EXPECT_EQ(refusal(good.client(), std::move(own)), std::nullopt);
    for (const std::vector<Bytes>& keys : {std::vector<Bytes>{}, {digest(pki().root)}}) {
        auto with = settings();
        with.server_keys = keys;
        Server bad({pki().station_tls});
        EXPECT_EQ(refusal(bad.client(), std::move(with)), Reason::central_key_unknown);
    }
}

TEST_F(Psk, ConnectionsThatShareAContextAreCheckedEachForItself)
{
    const auto shared = tls::shared_context(client().identity);
    const auto connect = [&](const std::string& name, bool with_psk) {
        auto with = settings();
        with.server_name = name;
        if (with_psk)
            with.psk = psk();
        Server peer(server(), echo(1));
        return reason_of([&] {
            tls::Stream stream(peer.client(), with, shared, in(ample), cancel);
            EXPECT_EQ(stream.used_psk(), with_psk);
            stream.write(Bytes{1}, in(ample));
            stream.read(1, in(ample));
        });
    };
    EXPECT_EQ(connect("localhost", false), std::nullopt);
    EXPECT_EQ(connect("elsewhere.example", false), Reason::wrong_name);
    EXPECT_EQ(connect("localhost", true), std::nullopt);
    EXPECT_EQ(connect("localhost", false), std::nullopt);
    EXPECT_EQ(signatures, 2);
}

TEST_F(Psk, ContextsAreMadeAfterSignaturesAsWellAsBefore)
{
    for (int i = 1; i <= 3; ++i) {
        auto with = server();
        with.psk_identity.clear();
        EXPECT_FALSE(used_psk(std::move(with), client()));
        EXPECT_EQ(signatures, i);
    }
}

} // namespace
} // namespace imprint::test
