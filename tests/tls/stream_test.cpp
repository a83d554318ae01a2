// SPDX-License-Identifier: Apache-2.0
// A Stream against OpenSSL's own server.
#include "daemon/tls/link.h"
#include "tests/tls/server.h"
#include "tests/tls/signers.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <barrier>
#include <csignal>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace imprint::test {
namespace {

using namespace std::chrono_literals;

tls::Deadline in(std::chrono::milliseconds time) { return std::chrono::steady_clock::now() + time; }
constexpr auto ample = 20s; // never waited for unless a test fails
constexpr auto brief = 30ms;

class Streams : public testing::Test {
protected:
    static void SetUpTestSuite() { pki_ = std::make_unique<TestPki>(); }
    static void TearDownTestSuite() { pki_.reset(); }
    static const TestPki& pki() { return *pki_; }

    tls::ClientSettings settings() const
    {
        return {.trust = trust, .server_role = pki::Role::station_tls, .server_name = "localhost", .alpn = "imprint/1"};
    }
    tls::ClientSettings settings(const Certified& client, tls::Signer signer)
    {
        auto with = settings();
        with.identity = {{client.certificate, pki().station_signing.certificate},
                         provider.key(client.certificate.spki(), std::move(signer))};
        with.context = provider.context();
        return with;
    }
    // The reason for which a handshake fails; nothing if it does not.
    std::optional<Reason> refusal(Fd fd, tls::ClientSettings with)
    {
        return reason_of([&] { tls::Stream(std::move(fd), std::move(with), in(ample), cancel); });
    }

    pki::Trust trust = pki().trust();
    tls::Cancel cancel;
    tls::Provider provider;

private:
    static std::unique_ptr<TestPki> pki_;
};

std::unique_ptr<TestPki> Streams::pki_;

// Sends back what comes, in pieces of the same size.
Server::Script echo(std::size_t size, int times = 1)
{
    return [size, times](SSL* ssl) {
        Bytes data(size);
        for (int i = 0; i < times && read_exactly(ssl, data); ++i)
            write_all(ssl, data);
    };
}

// Waits for the end of the client's side.
void until_closed(SSL* ssl)
{
    std::array<std::uint8_t, 1> byte{};
    read_exactly(ssl, byte);
}

TEST_F(Streams, CarrySmallAndLargeMessages)
{
    for (const std::size_t size : {std::size_t{1}, std::size_t{16385}, std::size_t{1} << 20}) {
        Server server({pki().station_tls}, echo(size, 3));
        tls::Stream stream(server.client(), settings(), in(ample), cancel);
        for (std::uint8_t fill = 1; fill <= 3; ++fill) {
            stream.write(Bytes(size, fill), in(ample));
            EXPECT_EQ(stream.read(size, in(ample)), Bytes(size, fill));
        }
    }
}

TEST_F(Streams, ReadAndWriteNothing)
{
    Server server({pki().station_tls}, echo(1));
    tls::Stream stream(server.client(), settings(), in(ample), cancel);
    stream.write({}, in(ample));
    EXPECT_EQ(stream.read(0, in(ample)), Bytes());
}

TEST_F(Streams, HaveTheSameChannelBindingOnBothSides)
{
    std::vector<Bytes> bindings;
    for (int i = 0; i < 2; ++i) {
        Server server({pki().station_tls});
        Bytes ours;
        {
            const tls::Stream stream(server.client(), settings(), in(ample), cancel);
            ours = stream.channel_binding();
        }
        EXPECT_EQ(ours.size(), 32u);
        EXPECT_EQ(server.report().channel_binding, ours);
        bindings.push_back(ours);
    }
    EXPECT_NE(bindings[0], bindings[1]);
}

TEST_F(Streams, TellTheirPeerAndWhomTheyMeant)
{
    Server server({pki().station_tls});
    {
        const tls::Stream stream(server.client(), settings(), in(ample), cancel);
        EXPECT_EQ(stream.peer(), pki().station_tls.certificate);
    }
    EXPECT_EQ(server.report().server_name, "localhost");
}

TEST_F(Streams, EndWithACloseNotify)
{
    int end = 0;
    Server server({pki().station_tls}, [&end](SSL* ssl) {
        std::uint8_t byte = 0;
        end = SSL_get_error(ssl, SSL_read(ssl, &byte, 1));
    });
    {
        tls::Stream stream(server.client(), settings(), in(ample), cancel);
        stream.close();
    }
    EXPECT_TRUE(server.report().handshake);
    EXPECT_EQ(end, SSL_ERROR_ZERO_RETURN);
}

// --- the server has to be the one that was meant

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

// --- waiting

TEST_F(Streams, WaitNoLongerForWhatIsReady)
{
    auto [ours, theirs] = socket_pair();
    ASSERT_EQ(write(theirs.get(), "x", 1), 1);
    const auto waiting = [&, fd = ours.get()](tls::Deadline deadline) {
        return reason_of([&] { tls::wait(fd, POLLIN, deadline, cancel, "test"); });
    };
    EXPECT_EQ(waiting(in(ample)), std::nullopt);
    EXPECT_EQ(waiting(in(0ms)), Reason::timed_out);
    cancel.cancel();
    EXPECT_EQ(waiting(in(ample)), Reason::cancelled);
}

TEST_F(Streams, ASilentPeerIsTimedOut)
{
    auto ends = socket_pair();
    EXPECT_EQ(reason_of([&] { tls::Stream(std::move(ends.first), settings(), in(brief), cancel); }), Reason::timed_out);
    Server silent({pki().station_tls}, until_closed);
    tls::Stream stream(silent.client(), settings(), in(ample), cancel);
    EXPECT_EQ(reason_of([&] { stream.read(1, in(brief)); }), Reason::timed_out);
}

TEST_F(Streams, APeerThatNeverReadsIsTimedOut)
{
    std::promise<void> end;
    Server server({pki().station_tls}, [&](SSL*) { end.get_future().wait(); });
    tls::Stream stream(server.client(), settings(), in(ample), cancel);
    EXPECT_EQ(reason_of([&] { stream.write(Bytes(8 << 20), in(brief)); }), Reason::timed_out);
    end.set_value();
}

TEST_F(Streams, APeerThatNeverEndsIsTimedOut)
{
    Server server({pki().station_tls}, [](SSL* ssl) {
        while (write_all(ssl, Bytes(1))) { }
    });
    tls::Stream stream(server.client(), settings(), in(ample), cancel);
    EXPECT_EQ(reason_of([&] { stream.read(1 << 28, in(brief)); }), Reason::timed_out);
}

// Key updates carry no data: OpenSSL reads on and on by itself.
TEST_F(Streams, APeerThatSendsOnlyKeyUpdatesIsTimedOut)
{
    Server server({pki().station_tls}, [](SSL* ssl) {
        while (SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 && SSL_do_handshake(ssl) == 1) { }
    });
    tls::Stream stream(server.client(), settings(), in(ample), cancel);
    EXPECT_EQ(reason_of([&] { stream.read(1, in(brief)); }), Reason::timed_out);
}

TEST_F(Streams, AnotherThreadMayCancel)
{
    std::barrier reading(2);
    std::thread other([&] {
        reading.arrive_and_wait();
        cancel.cancel();
    });
    Server server({pki().station_tls}, until_closed);
    tls::Stream stream(server.client(), settings(), in(ample), cancel);
    reading.arrive_and_wait();
    EXPECT_EQ(reason_of([&] { stream.read(1, in(ample)); }), Reason::cancelled);
    EXPECT_TRUE(cancel.cancelled());
    EXPECT_EQ(reason_of([&] { stream.write(Bytes(1), in(ample)); }), Reason::cancelled);
    stream.close();
    other.join();
}

TEST_F(Streams, ACancelledHandshakeEndsAtOnce)
{
    auto [client, server] = socket_pair();
    cancel.cancel();
    EXPECT_EQ(refusal(std::move(client), settings()), Reason::cancelled);
}

// --- the line breaks

TEST_F(Streams, AWireCutAnywhereInTheHandshakeIsTold)
{
    std::size_t flight = 0;
    {
        Server server({pki().station_tls}, until_closed);
        Meddler wire(server.client(), [&](std::size_t offset, std::uint8_t&) {
            flight = offset + 1;
            return true;
        });
        tls::Stream(wire.client(), settings(), in(ample), cancel).close();
    }
    ASSERT_GT(flight, 500u);
    for (std::size_t cut = 0; cut < 600; cut += cut < 150 ? 1 : 17) {
        Server server({pki().station_tls});
        Meddler wire(server.client(), [cut](std::size_t offset, std::uint8_t&) { return offset < cut; });
        EXPECT_EQ(refusal(wire.client(), settings()), Reason::connection_lost) << cut;
    }
}

TEST_F(Streams, AWireCutInTheDataIsTold)
{
    Server server({pki().station_tls}, [](SSL* ssl) { write_all(ssl, Bytes(10)); });
    tls::Stream stream(server.client(), settings(), in(ample), cancel);
    EXPECT_EQ(stream.read(4, in(ample)), Bytes(4));
    EXPECT_EQ(reason_of([&] { stream.read(7, in(ample)); }), Reason::connection_lost);
}

TEST_F(Streams, AProperEndIsAnEndToo)
{
    Server server({pki().station_tls}, [](SSL* ssl) { SSL_shutdown(ssl); });
    tls::Stream stream(server.client(), settings(), in(ample), cancel);
    EXPECT_EQ(reason_of([&] { stream.read(1, in(ample)); }), Reason::connection_lost);
}

// Were SIGPIPE raised, it would end the test program.
TEST_F(Streams, WritingToAPeerThatIsGoneRaisesNoSignal)
{
    ASSERT_NE(signal(SIGPIPE, SIG_DFL), SIG_ERR);
    Server server({pki().station_tls});
    tls::Stream stream(server.client(), settings(), in(ample), cancel);
    EXPECT_TRUE(server.report().handshake);
    for (int i = 0; i < 3; ++i)
        EXPECT_EQ(reason_of([&] { stream.write(Bytes(100'000), in(ample)); }), Reason::connection_lost);
    stream.close();
}

TEST_F(Streams, ABadDescriptorIsRefused) { EXPECT_EQ(refusal(Fd(), settings()), Reason::invalid_argument); }

} // namespace
} // namespace imprint::test
