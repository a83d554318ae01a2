// SPDX-License-Identifier: Apache-2.0
// What a stream carries and tells.
#include "tests/tls/streams.h"

namespace imprint::test {
namespace {

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

TEST_F(Streams, ABadDescriptorIsRefused) { EXPECT_EQ(refusal(Fd(), settings()), Reason::invalid_argument); }

} // namespace
} // namespace imprint::test
