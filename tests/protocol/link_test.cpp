// SPDX-License-Identifier: Apache-2.0
// The lines between courier and device: checks, resynchronization, repetitions.
#include "provisioning/protocol/link.h"

#include "tests/support/reason.h"

#include <gtest/gtest.h>

namespace imprint::protocol {
namespace {

std::string text(const Secret& secret) { return std::string(as_text(secret.view())); }

std::vector<std::string> taken(LinkReader& reader, std::string_view bytes)
{
    std::vector<std::string> contents;
    for (const auto& content : reader.take(as_bytes(bytes)))
        contents.push_back(text(content));
    return contents;
}

std::vector<std::string> taken(std::string_view bytes)
{
    LinkReader reader;
    return taken(reader, bytes);
}

using Lines = std::vector<std::string>;

// The checks were computed with printf and sha256sum, as link.md says.
TEST(Link, LinesHaveACheckThatAnybodyCanCompute)
{
    EXPECT_EQ(text(link_line(as_bytes("0a1b2c3d ask-chip"))), "7acd3e24 0a1b2c3d ask-chip\n");
    EXPECT_EQ(taken("7acd3e24 0a1b2c3d ask-chip\n"), Lines{"0a1b2c3d ask-chip"});
    EXPECT_EQ(taken("2d711642 x\n"), Lines{"x"});
}

TEST(Link, WhatIsNotALineIsDroppedAndTheNextOneIsTaken)
{
    const std::string good = "2d711642 x\n";
    for (const auto& bad : {std::string("2d711642 y\n"), std::string("2d711642x\n"), std::string("\n"),
                            std::string("2d711642 \n"), std::string("2d711642 x\r\n"), std::string("2d711642\n"),
                            std::string("2d711642 x"), std::string(100'000, 'a'), std::string("\0\xff\x1b[2J", 6)})
        EXPECT_EQ(taken(bad + "\n" + good), (bad == "2d711642 x" ? Lines{"x", "x"} : Lines{"x"})) << bad.substr(0, 40);
}

TEST(Link, LinesComeInAnyPieces)
{
    LinkReader reader;
    const std::string two = "2d711642 x\n7acd3e24 0a1b2c3d ask-chip\n";
    Lines all;
    for (const char byte : two)
        for (auto& content : taken(reader, {&byte, 1}))
            all.push_back(content);
    EXPECT_EQ(all, (Lines{"x", "0a1b2c3d ask-chip"}));
}

TEST(Link, ALineHas512BytesAtMost)
{
    const auto longest = text(link_line(as_bytes(std::string(502, 'a'))));
    EXPECT_EQ(longest.size(), max_link_line);
    EXPECT_EQ(taken(longest), Lines{std::string(502, 'a')});
    EXPECT_EQ(taken("1197f2af " + std::string(503, 'a') + "\n"), Lines{});
    for (const auto& content : {std::string(503, 'a'), std::string(), std::string("a\nb"), std::string("\x7f")})
        EXPECT_EQ(test::reason_of([&] { link_line(as_bytes(content)); }), Reason::invalid_argument);
}

TEST(Link, EveryFlippedBitIsNoticed)
{
    const auto line = text(link_line(as_bytes("0a1b2c3d introduced")));
    for (std::size_t i = 0; i + 1 < line.size(); ++i)
        for (int bit = 0; bit < 8; ++bit) {
            auto garbled = line;
            garbled[i] = static_cast<char>(garbled[i] ^ (1 << bit));
            EXPECT_EQ(taken(garbled), Lines{}) << garbled;
        }
}

// A device that counts.
class Counting : public Introducible {
public:
    std::string chip() override
    {
        ++asked;
        return std::string(64, 'c');
    }
    void introduce(const Secret& ticket, const std::string& address) override
    {
        ++introduced;
        if (refusal)
            throw Error(*refusal);
        given = text(ticket) + " " + address;
    }
    int asked = 0, introduced = 0;
    std::optional<Refusal> refusal;
    std::string given;
};

TEST(Link, A35_TheDeviceTellsItsChipAndTakesATicket)
{
    Counting device;
    LinkResponder responder(device);
    const auto asked = ask_for_chip();
    const auto chip = read_answer(asked, Secret(as_bytes(responder.respond(asked.content).value())));
    EXPECT_EQ(*chip.value(), (Lines{"chip", std::string(64, 'c')}));
    const auto introduced = introduce(Secret(as_bytes("secret")), "host:1");
    const auto answer = read_answer(introduced, Secret(as_bytes(responder.respond(introduced.content).value())));
    EXPECT_EQ(*answer.value(), Lines{"introduced"});
    EXPECT_EQ(device.given, "secret host:1");
    const auto configured = introduce(Secret(as_bytes("secret")), "");
    responder.respond(configured.content);
    EXPECT_EQ(device.given, "secret ") << "without an address the device takes the configured one";
}

TEST(Link, ARepeatedRequestGetsTheSameAnswerAndHappensOnce)
{
    Counting device;
    LinkResponder responder(device);
    const auto request = introduce(Secret(as_bytes("secret")), "host:1");
    const auto first = responder.respond(request.content);
    EXPECT_EQ(responder.respond(request.content), first);
    EXPECT_EQ(device.introduced, 1);
    responder.respond(introduce(Secret(as_bytes("secret")), "host:1").content);
    EXPECT_EQ(device.introduced, 2) << "another request, not a repetition";
}

TEST(Link, RefusalsKeepTheirReason)
{
    Counting device;
    device.refusal = {Reason::transaction_number_used, "it was\nused"};
    LinkResponder responder(device);
    const auto request = introduce(Secret(as_bytes("secret")), "");
    const auto answer = read_answer(request, Secret(as_bytes(responder.respond(request.content).value())));
    ASSERT_TRUE(answer);
    ASSERT_FALSE(*answer);
    EXPECT_EQ(answer->refusal().reason, Reason::transaction_number_used);
    EXPECT_EQ(answer->refusal().detail, "the device says: it was?used");
    const auto unknown = read_answer(request, Secret(as_bytes(request.number + " refused 4000000 x")));
    EXPECT_EQ(unknown.value().refusal().reason, Reason::internal);
}

TEST(Link, WhatIsNoRequestGetsNoAnswer)
{
    Counting device;
    LinkResponder responder(device);
    for (const auto* content : {"ask-chip", "0a1b2c3d", "0a1b2c3d chip", "0A1B2C3D ask-chip", "0a1b2c3 ask-chip",
                                " ask-chip", "0a1b2c3d introduced", "0a1b2c3d  ask-chip"})
        EXPECT_FALSE(responder.respond(Secret(as_bytes(content)))) << content;
    for (const auto* content : {"00000001 ask-chip now", "00000002 introduce", "00000003 introduce ticket",
                                "00000004 introduce ticket host:1 more"})
        EXPECT_TRUE(responder.respond(Secret(as_bytes(content))).value().substr(9).starts_with("refused 2 "))
            << content;
    EXPECT_EQ(device.asked + device.introduced, 0);
}

TEST(Link, AnEchoOrAnOldAnswerIsNoAnswer)
{
    const auto request = ask_for_chip();
    EXPECT_FALSE(read_answer(request, request.content));
    EXPECT_FALSE(read_answer(request, ask_for_chip().content));
    EXPECT_FALSE(read_answer(request, Secret(as_bytes("0a1b2c3d chip c"))));
    EXPECT_FALSE(read_answer(request, Secret(as_bytes(request.number))));
}

} // namespace
} // namespace imprint::protocol
