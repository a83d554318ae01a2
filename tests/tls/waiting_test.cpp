// SPDX-License-Identifier: Apache-2.0
// Deadlines and cancelling.
#include "daemon/tls/link.h"
#include "tests/tls/streams.h"

#include <barrier>
#include <future>
#include <poll.h>
#include <thread>
#include <unistd.h>

namespace imprint::test {
namespace {

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

// Serial lines: a silent peer is given up early, one that answers has the whole time.
TEST_F(Streams, OnlyTheFirstAnswerIsDueEarly)
{
    const auto hurried = [this](tls::Deadline first) {
        auto all = settings();
        all.first_answer = first;
        return all;
    };
    auto ends = socket_pair();
    const auto whole = in(ample);
    EXPECT_EQ(reason_of([&] { tls::Stream(std::move(ends.first), hurried(in(brief)), whole, cancel); }),
              Reason::timed_out);
    EXPECT_LT(std::chrono::steady_clock::now(), whole);
    std::promise<void> later;
    Server server({pki().station_tls}, [&](SSL* ssl) {
        later.get_future().wait();
        write_all(ssl, Bytes(1));
    });
    const auto first = in(2s);
    tls::Stream stream(server.client(), hurried(first), whole, cancel);
    EXPECT_EQ(reason_of([&] { tls::wait(-1, 0, first, cancel, "for the deadline to pass"); }), Reason::timed_out);
    later.set_value();
    EXPECT_NO_THROW(stream.read(1, in(ample)));
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

} // namespace
} // namespace imprint::test
