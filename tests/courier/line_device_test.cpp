// SPDX-License-Identifier: Apache-2.0
// The courier against devices and lines that misbehave.
#include "provisioning/courier/line_device.h"

#include "tests/support/reason.h"
#include "tests/tls/server.h"

#include <gtest/gtest.h>

#include <poll.h>
#include <sys/socket.h>

namespace imprint::test {
namespace {

constexpr courier::LineDevice::Patience impatient{.for_answer = std::chrono::milliseconds(200), .attempts = 4};
const std::string some_chip(64, 'c');
const std::string ticket(96, 'd');

class SomeDevice : public protocol::Introducible {
public:
    std::string chip() override { return some_chip; }
    void introduce(const Secret& given, const std::string& address) override
    {
        ++introduced;
        last = to_string(given.view()) + " " + address;
    }
    int introduced = 0;
    std::string last;
};

// The device's end of a line, in a thread. `meddle` gets every line that it would send, newline included, and gives
// what is sent instead.
class DeviceEnd {
public:
    using Meddle = std::function<std::string(const std::string& line)>;
    explicit DeviceEnd(Meddle meddle)
        : meddle_(std::move(meddle))
    {
        auto [mine, other] = socket_pair();
        mine_ = std::move(mine);
        other_ = std::move(other);
        thread_ = std::jthread([this] { run(); });
    }
    ~DeviceEnd() { shutdown(mine_.get(), SHUT_RDWR); }
    Fd courier() { return std::move(other_); }
    SomeDevice device;

private:
    void run()
    {
        protocol::LinkReader reader;
        protocol::LinkResponder responder(device);
        std::array<std::uint8_t, 512> buffer{};
        for (ssize_t n = 0; (n = recv(mine_.get(), buffer.data(), buffer.size(), 0)) > 0;)
            for (const auto& content : reader.take({buffer.data(), static_cast<std::size_t>(n)}))
                if (const auto answer = responder.respond(content)) {
                    const auto sent = meddle_(to_string(protocol::link_line(as_bytes(*answer)).view()));
                    send(mine_.get(), sent.data(), sent.size(), MSG_NOSIGNAL);
                }
    }

    Meddle meddle_;
    Fd mine_, other_;
    std::jthread thread_;
};

TEST(LineDevice, A35_ReadsTheChipAndGivesTheTicket)
{
    DeviceEnd end([](const std::string& line) { return line; });
    courier::LineDevice device(end.courier(), {});
    EXPECT_EQ(device.chip(), some_chip);
    device.introduce(Secret(as_bytes(ticket)), "station:7443");
    EXPECT_EQ(end.device.last, ticket + " station:7443");
}

TEST(LineDevice, LostAndGarbledAnswersAreAskedForAgainAndNothingHappensTwice)
{
    int count = 0;
    DeviceEnd end([&count](const std::string& line) -> std::string {
        switch (count++ % 3) {
        case 0:
            return ""; // lost
        case 1: {
            auto garbled = line;
            garbled[garbled.size() / 2] = '\x7f';
            return "noise \xff\n" + garbled;
        }
        default:
            return "half a line" + std::string(600, 'x') + "\n" + line;
        }
    });
    courier::LineDevice device(end.courier(), impatient);
    EXPECT_EQ(device.chip(), some_chip);
    device.introduce(Secret(as_bytes(ticket)), "");
    EXPECT_EQ(end.device.introduced, 1);
}

TEST(LineDevice, ALineThatStallsIsLeft)
{
    DeviceEnd end([](const std::string&) { return ""; });
    courier::LineDevice device(end.courier(), impatient);
    EXPECT_EQ(reason_of([&] { device.chip(); }), Reason::timed_out);
}

TEST(LineDevice, WrongChecksAndOverlongLinesAreNoAnswers)
{
    DeviceEnd wrong([](const std::string& line) { return "00000000" + line.substr(8); });
    courier::LineDevice device(wrong.courier(), impatient);
    EXPECT_EQ(reason_of([&] { device.chip(); }), Reason::timed_out);
    DeviceEnd overlong([](const std::string& line) { return std::string(1 << 16, 'x') + line; });
    courier::LineDevice other(overlong.courier(), impatient);
    EXPECT_EQ(reason_of([&] { other.chip(); }), Reason::timed_out);
}

// Also with lines that would be answers to somebody else.
TEST(LineDevice, ADeviceThatNeverEndsIsLeft)
{
    for (const auto& flood :
         {std::string("x"), to_string(protocol::link_line(as_bytes("0a1b2c3d introduced")).view())}) {
        auto [mine, other] = socket_pair();
        std::jthread flooding([&mine = mine, &flood] {
            while (send(mine.get(), flood.data(), flood.size(), MSG_NOSIGNAL) > 0) { }
        });
        {
            courier::LineDevice device(std::move(other), impatient);
            EXPECT_EQ(reason_of([&] { device.chip(); }), Reason::timed_out);
        }
    }
}

TEST(LineDevice, ADeviceThatLeavesIsNoticedAtOnce)
{
    auto [mine, other] = socket_pair();
    mine = Fd();
    courier::LineDevice device(std::move(other), {});
    EXPECT_EQ(reason_of([&] { device.chip(); }), Reason::connection_lost);
}

TEST(LineDevice, AnswersThatSayNothingAreRefused)
{
    const auto answer = [](const std::string& words) {
        return [words](const std::string& line) {
            const auto number = line.substr(9, 8);
            return to_string(protocol::link_line(as_bytes(number + " " + words)).view());
        };
    };
    for (const auto* words : {"chip", "chip c", "chip C ", "introduced", "chip 0 0"}) {
        DeviceEnd end(answer(words));
        courier::LineDevice device(end.courier(), impatient);
        EXPECT_EQ(reason_of([&] { device.chip(); }), Reason::malformed_message) << words;
    }
    DeviceEnd end(answer("refused 10 a call runs already"));
    courier::LineDevice device(end.courier(), impatient);
    EXPECT_EQ(reason_of([&] { device.introduce(Secret(as_bytes(ticket)), ""); }), Reason::busy);
}

} // namespace
} // namespace imprint::test
