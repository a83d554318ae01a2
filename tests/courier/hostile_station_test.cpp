// SPDX-License-Identifier: Apache-2.0
// The courier against stations that are none, and against what a station may answer.
#include "provisioning/courier/station_client.h"

#include "provisioning/protocol/courier_messages.h"
#include "provisioning/protocol/framing.h"
#include "tests/courier/fixture.h"
#include "tests/support/process.h"
#include "tests/support/reason.h"
#include "tests/tls/server.h"

#include <gtest/gtest.h>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

namespace imprint::test {
namespace {

using protocol::IntroductionKind;

struct Listening {
    Fd fd;
    std::string address;
};

Listening listening()
{
    Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof name;
    if (bind(fd.get(), reinterpret_cast<sockaddr*>(&name), size) != 0 || listen(fd.get(), 1) != 0 ||
        getsockname(fd.get(), reinterpret_cast<sockaddr*>(&name), &size) != 0)
        throw_errno("cannot listen");
    return {std::move(fd), "127.0.0.1:" + std::to_string(ntohs(name.sin_port))};
}

class HostileStation : public testing::Test {
protected:
    // What the courier makes of a station that answers with these bytes.
    std::optional<Reason> judge(const Bytes& bytes, IntroductionKind kind = IntroductionKind::ticket)
    {
        return judge(pki.station_tls, kind, [bytes](SSL* ssl) {
            std::array<std::uint8_t, 4> header{};
            if (read_exactly(ssl, header))
                write_all(ssl, bytes);
        });
    }
    std::optional<Reason> judge(const Certified& identity, IntroductionKind kind, Server::Script script)
    {
        auto socket = listening();
        Server server({.identity = std::cref(identity), .alpn = std::string(protocol::courier_alpn)},
                      std::move(socket.fd), std::move(script));
        return reason_of([&] {
            got = courier::get_introduction(socket.address, {pki.trust(), {alice.certificate}, share(alice.key)},
                                            {.kind = kind, .chip = std::string(64, 'c'), .reason = "test"},
                                            std::chrono::seconds(2));
        });
    }
    static Bytes answer(const std::string& introduction, const std::string& address = "127.0.0.1:7443")
    {
        protocol::CourierMessage message;
        message.mutable_answer()->set_introduction(introduction);
        message.mutable_answer()->set_station_address(address);
        message.mutable_answer()->set_expires(1);
        return protocol::frame(protocol::serialize(message));
    }
    static std::string ticket() { return to_string(protocol::text_of(protocol::new_ticket()).view()); }
    static std::string number() { return to_string(protocol::text_of(protocol::new_transaction_number()).view()); }

    TestPki pki;
    Certified alice = pki.station_operator("Alice");
    TemporaryDirectory directory;
    courier::Introduction got;
};

TEST_F(HostileStation, AnHonestAnswerIsTaken)
{
    const auto given = ticket();
    EXPECT_EQ(judge(answer(given)), std::nullopt);
    EXPECT_EQ(to_string(got.text.view()), given);
    EXPECT_EQ(got.station_address, "127.0.0.1:7443");
    EXPECT_EQ(judge(answer(number(), ""), IntroductionKind::transaction_number), std::nullopt);
}

TEST_F(HostileStation, Attack36_WhatIsNoIntroductionGoesToNobody)
{
    EXPECT_EQ(judge(answer("")), Reason::malformed_message);
    EXPECT_EQ(judge(answer(number())), Reason::malformed_message) << "a number in place of a ticket";
    EXPECT_EQ(judge(answer(ticket()), IntroductionKind::transaction_number), Reason::malformed_message);
    EXPECT_EQ(judge(answer("\x1b]0;title\x07" + number()), IntroductionKind::transaction_number),
              Reason::malformed_message);
    EXPECT_EQ(judge(answer(ticket() + "\n")), Reason::malformed_message);
    EXPECT_EQ(judge(answer(ticket(), "two words")), Reason::malformed_message);
    EXPECT_EQ(judge(answer(ticket(), "a\nb")), Reason::malformed_message);
    EXPECT_EQ(judge(answer(ticket(), std::string(256, 'x'))), Reason::malformed_message);
}

// Who stands in the station's place chooses the name in its certificate; what tells of it goes to a person's terminal.
TEST_F(HostileStation, Attack36_ANameIsShownWithoutItsControlBytes)
{
    const TestPki foreign;
    const auto named = foreign.server(pki::Role::station_tls, "\x1b]0;title\x07\nAll is well");
    const auto files = write_courier(directory, "alice", pki, alice);
    write_file(directory / "tls.pem", pki::to_pem({named.certificate}));
    pki::store_key(directory / "tls.key", named.key.get(), std::nullopt);
    Process impostor(Arguments{"openssl", "s_server", "-www", "-accept", "127.0.0.1:0", "-alpn",
                               std::string(protocol::courier_alpn), "-cert", directory / "tls.pem", "-key",
                               directory / "tls.key"});
    const auto address = impostor.line_after("ACCEPT ").value();
    for (const bool json : {false, true}) {
        Arguments call{IMPRINT_COURIER, "--station", address, "--directory", files, "tan"};
        if (json)
            call.insert(call.begin() + 1, "--json");
        const auto finished = run(call);
        EXPECT_NE(finished.status, 0);
        const auto told = finished.out + finished.err;
        EXPECT_NE(told.find("All is well"), std::string::npos) << told;
        EXPECT_EQ(told.find("\nAll is well"), std::string::npos) << told;
        EXPECT_TRUE(std::ranges::all_of(told, [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); })) << told;
    }
}

TEST_F(HostileStation, Attack17_OddMessagesAreRefused)
{
    EXPECT_EQ(judge(Bytes{0, 0, 0, 0}), Reason::malformed_message);
    EXPECT_EQ(judge(Bytes{0xff, 0xff, 0xff, 0xff}), Reason::message_too_large);
    EXPECT_EQ(judge(Bytes{0, 0, 0x10, 0x01}), Reason::message_too_large) << "more than any answer needs";
    EXPECT_EQ(judge(protocol::frame(as_bytes("garbage"))), Reason::malformed_message);
    protocol::CourierMessage request;
    request.mutable_request()->set_version(1);
    EXPECT_EQ(judge(protocol::frame(protocol::serialize(request))), Reason::unexpected_message);
    EXPECT_EQ(judge(Bytes{0, 0}), Reason::connection_lost);
    const auto refused = protocol::courier_refused({Reason::operator_revoked, "you"});
    EXPECT_EQ(judge(protocol::frame(protocol::serialize(refused))), Reason::operator_revoked);
}

TEST_F(HostileStation, Attack28_OneThatSaysNothingOrDribblesIsLeft)
{
    for (const bool dribbles : {false, true})
        EXPECT_EQ(judge(pki.station_tls, IntroductionKind::ticket,
                        [dribbles](SSL* ssl) {
                            const Bytes header{0, 0, 0x10, 0};
                            write_all(ssl, header);
                            const Bytes byte{0};
                            // Until the courier has left.
                            pollfd line{SSL_get_fd(ssl), POLLRDHUP, 0};
                            while (poll(&line, 1, 100) == 0)
                                if (dribbles)
                                    write_all(ssl, byte);
                        }),
                  Reason::timed_out);
}

TEST_F(HostileStation, A39_OnlyAStationOfTheManufacturerIsAskedForAnything)
{
    const auto unasked = [](SSL*) { FAIL() << "the handshake was finished"; };
    const TestPki foreign;
    const auto late = pki.server(pki::Role::station_tls, "Station 1", expired);
    EXPECT_EQ(judge(foreign.station_tls, IntroductionKind::ticket, unasked), Reason::untrusted_certificate);
    EXPECT_EQ(judge(pki.archive, IntroductionKind::ticket, unasked), Reason::wrong_role);
    EXPECT_EQ(judge(alice, IntroductionKind::ticket, unasked), Reason::wrong_role);
    EXPECT_EQ(judge(late, IntroductionKind::ticket, unasked), Reason::certificate_expired);
}

} // namespace
} // namespace imprint::test
