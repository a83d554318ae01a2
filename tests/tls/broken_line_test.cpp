// SPDX-License-Identifier: Apache-2.0
// Lines that break.
#include "tests/tls/streams.h"

#include <csignal>

namespace imprint::test {
namespace {

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

} // namespace
} // namespace imprint::test
