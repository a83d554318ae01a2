// SPDX-License-Identifier: Apache-2.0
// Whether the server is the one that was meant, and what we show it.
#include "tests/tls/streams.h"

#include <atomic>
#include <unistd.h>

namespace imprint::test {
namespace {

TEST_F(Streams, A24_AnUnfitStationIsRefusedEachWithItsReason)
{
    const TestPki foreign;
    const auto expired_server = pki().server(pki::Role::station_tls, "Station 1", expired);
    const auto coming_server = pki().server(pki::Role::station_tls, "Station 1", not_yet_valid);
    const std::pair<const Certified*, Reason> cases[]{{&foreign.station_tls, Reason::untrusted_certificate},
                                                      {&pki().archive, Reason::wrong_role},
                                                      {&pki().station_signing, Reason::wrong_role},
                                                      {&expired_server, Reason::certificate_expired},
                                                      {&coming_server, Reason::certificate_not_yet_valid}};
    for (const auto& [identity, reason] : cases) {
        Server server({*identity}, [](SSL*) { FAIL() << "a refused server must not get as far as data"; });
        EXPECT_EQ(refusal(server.client(), settings()), reason) << name(reason);
        EXPECT_FALSE(server.report().handshake);
    }
}

TEST_F(Streams, A24_ARevokedStationIsRefused)
{
    trust.crls.push_back(pki().crl(pki().station_tls.certificate));
    Server server({pki().station_tls});
    EXPECT_EQ(refusal(server.client(), settings()), Reason::certificate_revoked);
    EXPECT_NE(server.report().failure.find("certificate revoked"), std::string::npos);
}

TEST_F(Streams, A24_TheNameHasToBeInTheCertificate)
{
    const std::pair<const char*, std::optional<Reason>> cases[]{{"localhost", {}},
                                                                {"LOCALHOST", {}},
                                                                {"127.0.0.1", {}},
                                                                {"::1", {}},
                                                                {"", {}},
                                                                {"station.example", Reason::wrong_name},
                                                                {"127.0.0.2", Reason::wrong_name},
                                                                {"::2", Reason::wrong_name},
                                                                {"Station 1", Reason::wrong_name},
                                                                {"localhost.example", Reason::wrong_name}};
    for (const auto& [name, reason] : cases) {
        Server server({pki().station_tls});
        auto with = settings();
        with.server_name = name;
        EXPECT_EQ(refusal(server.client(), std::move(with)), reason) << name;
    }
}

TEST_F(Streams, A24_NothingOfOursIsShownToAnUnfitStation)
{
    const TestPki foreign;
    const auto module = pki().module("1");
    bool signed_anything = false;
    Server server({.identity = foreign.station_tls, .client_anchor = pki().root.certificate});
    const auto signer = [&](BytesView) -> Bytes {
        signed_anything = true;
        return {};
    };
    EXPECT_EQ(refusal(server.client(), settings(module, signer)), Reason::untrusted_certificate);
    EXPECT_FALSE(signed_anything);
    EXPECT_EQ(server.report().client_certificate, std::nullopt);
}

// Only the outer headers of the first two records, which nothing authenticates, may change, and without effect.
TEST_F(Streams, A24_AFlippedBitInTheHandshakeIsRefusedOrWithoutEffect)
{
    constexpr std::size_t hello = 160, flight = 700; // not more than the server sends at least
    std::size_t without_effect = 0;
    for (std::size_t at = 0; at < flight; at += at < hello ? 1 : 23) {
        Server server({pki().station_tls});
        Meddler wire(server.client(), [at](std::size_t offset, std::uint8_t& byte) {
            byte ^= offset == at;
            return true;
        });
        Bytes ours;
        // A longer record than was sent is waited for in vain.
        const auto reason =
            reason_of([&] { ours = tls::Stream(wire.client(), settings(), in(300ms), cancel).channel_binding(); });
        if (reason)
            continue;
        ++without_effect;
        EXPECT_LT(at, hello);
        EXPECT_EQ(ours, server.report().channel_binding) << at;
    }
    EXPECT_LE(without_effect, 10u);
}

TEST_F(Streams, A24_AFlippedBitInTheDataIsRefused)
{
    std::atomic<bool> armed = false;
    Server server({pki().station_tls}, echo(100, 2));
    Meddler wire(server.client(), [&, left = 50](std::size_t, std::uint8_t& byte) mutable {
        byte ^= armed && --left == 0;
        return true;
    });
    tls::Stream stream(wire.client(), settings(), in(ample), cancel);
    stream.write(Bytes(100), in(ample));
    EXPECT_EQ(stream.read(100, in(ample)), Bytes(100));
    stream.write(Bytes(99), in(ample)); // one byte short: the answer cannot come before the wire is armed
    armed = true;
    stream.write(Bytes(1), in(ample));
    EXPECT_EQ(reason_of([&] { stream.read(100, in(ample)); }), Reason::signature_invalid);
}

TEST_F(Streams, Attack30_NothingBelowTls13WithOurProtocolIsSpoken)
{
    const ServerSettings cases[]{
        {.identity = pki().station_tls, .min_version = TLS1_2_VERSION, .max_version = TLS1_2_VERSION},
        {.identity = pki().station_tls, .alpn = ""},
        {.identity = pki().station_tls, .alpn = "imprint/2"},
        {.identity = pki().station_tls, .groups = "P-521"},
    };
    for (const auto& with : cases) {
        Server server(with, [](SSL*) { FAIL() << "data after a downgrade"; });
        EXPECT_EQ(refusal(server.client(), settings()), Reason::unsupported_version);
        EXPECT_FALSE(server.report().handshake);
    }
}

TEST_F(Streams, Attack30_AServerOfBothVersionsIsSpokenToIn13)
{
    std::string version;
    Server server({.identity = pki().station_tls, .min_version = TLS1_2_VERSION},
                  [&](SSL* ssl) { version = SSL_get_version(ssl); });
    tls::Stream(server.client(), settings(), in(ample), cancel).close();
    EXPECT_TRUE(server.report().handshake);
    EXPECT_EQ(version, "TLSv1.3");
}

TEST_F(Streams, Attack30_WhatSpeaksNoTlsIsRefused)
{
    auto [client, server] = socket_pair();
    constexpr std::string_view page = "HTTP/1.1 400 Bad Request\r\n\r\n";
    ASSERT_EQ(write(server.get(), page.data(), page.size()), static_cast<ssize_t>(page.size()));
    EXPECT_EQ(refusal(std::move(client), settings()), Reason::unsupported_version);
}

// --- our own key and certificate

TEST_F(Streams, A22_TheModuleKeySignsInTheHandshake)
{
    const auto module = pki().module("1");
    Server server({.identity = pki().station_tls, .client_anchor = pki().root.certificate}, echo(2));
    {
        tls::Stream stream(server.client(), settings(module, signer_of(module.key.get())), in(ample), cancel);
        stream.write(as_bytes("hi"), in(ample));
        EXPECT_EQ(stream.read(2, in(ample)), to_bytes("hi"));
    }
    EXPECT_EQ(server.report().client_certificate, module.certificate.der());
}

TEST_F(Streams, ASignerThatThrowsIsTheReason)
{
    const auto module = pki().module("1");
    Server server({.identity = pki().station_tls, .client_anchor = pki().root.certificate});
    try {
        const tls::Stream stream(server.client(), settings(module, refusing_signer), in(ample), cancel);
        FAIL();
    } catch (const Error& error) {
        EXPECT_TRUE(is_refusing_signers(error)) << error.what();
    }
    EXPECT_FALSE(server.report().handshake);
}

TEST_F(Streams, AnotherKeyThanTheCertificatesIsRefused)
{
    const auto module = pki().module("1"), other = pki().module("2");
    auto with = settings(module, signer_of(module.key.get()));
    with.identity->key = provider.key(other.certificate.spki(), signer_of(other.key.get()));
    auto [client, server] = socket_pair();
    EXPECT_EQ(refusal(std::move(client), std::move(with)), Reason::key_mismatch);
}

// In TLS 1.3 the client learns of it only after its own handshake, when it writes or reads.
TEST_F(Streams, AServerThatRefusesUsSaysWhy)
{
    const TestPki foreign("Another Manufacturer");
    const auto module = foreign.module("1");
    for (const bool with_certificate : {true, false}) {
        Server server({.identity = pki().station_tls, .client_anchor = pki().root.certificate});
        auto with = with_certificate ? settings(module, signer_of(module.key.get())) : settings();
        tls::Stream stream(server.client(), std::move(with), in(ample), cancel);
        EXPECT_FALSE(server.report().handshake);
        const auto expected = with_certificate ? Reason::untrusted_certificate : Reason::not_authorized;
        EXPECT_EQ(reason_of([&] { stream.write(Bytes(100), in(ample)); }), expected) << with_certificate;
    }
}

} // namespace
} // namespace imprint::test
