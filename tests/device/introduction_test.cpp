// SPDX-License-Identifier: Apache-2.0
// The device's side of transaction numbers: proven to the station and to nobody else, and asked for at an input unit.
#include "tests/device/fixture.h"

#include "provisioning/station/introductions.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace imprint::test {

namespace {

using namespace std::chrono_literals;
using protocol::IntroductionCode;

// A program behind a Unix socket that answers each question with what the test has in store for it.
class InputUnit {
public:
    using Answer = std::function<void(int connection, const std::string& question)>;

    explicit InputUnit(std::vector<Answer> answers)
        : answers_(std::move(answers))
        , listening_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))
    {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        const auto path = (directory_ / "keypad").string();
        std::ranges::copy(path, address.sun_path);
        if (bind(listening_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
            listen(listening_.get(), 8) != 0)
            throw_errno("cannot listen on " + path);
        thread_ = std::jthread([this] { run(); });
    }
    ~InputUnit() { shutdown(listening_.get(), SHUT_RDWR); }

    std::string address() const { return "unix:" + (directory_ / "keypad").string(); }
    std::vector<std::string> questions; // read it when the unit is gone, or the call

private:
    void run()
    {
        for (const auto& answer : answers_) {
            const Fd connection(accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (!connection)
                return;
            std::string question;
            for (char byte = 0; read(connection.get(), &byte, 1) == 1 && byte != '\n';)
                question += byte;
            questions.push_back(question);
            answer(connection.get(), question);
        }
    }

    std::vector<Answer> answers_;
    TemporaryDirectory directory_;
    Fd listening_;
    std::jthread thread_;
};

InputUnit::Answer says(std::string line)
{
    return [line = std::move(line)](int connection, const std::string&) {
        send(connection, line.data(), line.size(), MSG_NOSIGNAL);
    };
}

// Until the device hangs up.
void wait_for_end(int connection)
{
    pollfd waiting{connection, POLLRDHUP, 0};
    poll(&waiting, 1, 60'000);
}

class DeviceIntroduction : public DeviceTest {
protected:
    DeviceIntroduction() { station.set({.introductions = station::Required::always}); }

    IntroductionCode issue(const station::Terms& terms = {})
    {
        const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
        auto transaction = station.store().begin();
        auto code = issue_transaction_number(station.store(), terms, now);
        transaction.commit();
        return code;
    }
    static std::string text(const IntroductionCode& code) { return to_string(text_of(code).view()); }

    void personalize(const IntroductionCode* code)
    {
        box.device().personalize(station.address(), false, [](unsigned, const std::string&) {}, box.cancel, {code, {}});
    }
    std::optional<Reason> refused(const IntroductionCode* code = nullptr)
    {
        try {
            personalize(code);
            return std::nullopt;
        } catch (const Error& error) {
            return error.reason();
        }
    }
    void attach(const InputUnit& unit, std::chrono::seconds timeout = 30s)
    {
        box.settings.input_unit = {unit.address(), timeout};
        box.boot();
    }
};

TEST_F(DeviceIntroduction, A37_A38_WithoutOneWithAWrongOneAndWithAUsedOneNothingChanges)
{
    const auto before = box.epoch();
    EXPECT_EQ(refused(), Reason::transaction_number_required);
    const auto wrong = protocol::new_transaction_number();
    EXPECT_EQ(refused(&wrong), Reason::transaction_number_wrong);
    EXPECT_EQ(name(box.state()), name(State::personalization));
    EXPECT_FALSE(box.device().status().ready_to_switch);
    EXPECT_EQ(box.epoch() % 2, 0U);
    EXPECT_LE(before, box.epoch());

    const auto code = issue();
    EXPECT_EQ(refused(&code), std::nullopt);
    EXPECT_TRUE(box.device().status().ready_to_switch);
    TestDevice other(SoftwareTpm::Kind::bare);
    station.allow(other.chip());
    try {
        other.device().personalize(station.address(), false, [](unsigned, const std::string&) {}, other.cancel,
                                   {&code, {}});
        FAIL() << "used twice";
    } catch (const Error& error) {
        EXPECT_EQ(error.reason(), Reason::transaction_number_used);
    }
}

TEST_F(DeviceIntroduction, A37_ATicketIsShownInTheSameWay)
{
    const auto code = issue_ticket(station.store(), {.chip = box.chip()},
                                   std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()));
    EXPECT_EQ(refused(&code), std::nullopt);
}

TEST_F(DeviceIntroduction, Attack26_TheNumberIsNeitherOnTheLineNorOnTheTpmsBus)
{
    box.wire.recording = true;
    const auto code = issue();
    ASSERT_EQ(refused(&code), std::nullopt);
    std::string bus;
    for (const auto& exchange : box.wire.record())
        bus.append(as_text(exchange.command)).append(as_text(exchange.response));
    std::string line;
    for (const auto& message : station.messages())
        line += as_text(message);
    EXPECT_GT(bus.size(), 1000U);
    EXPECT_NE(line.find(code.selector), std::string::npos);
    for (const auto* traffic : {&bus, &line}) {
        EXPECT_EQ(traffic->find(as_text(code.secret.view())), std::string::npos);
        EXPECT_EQ(traffic->find(as_text(verifier_of(code).view())), std::string::npos);
    }
}

TEST_F(DeviceIntroduction, Attack26_ADroppedLineDoesNotEatTheNumber)
{
    const auto code = issue();
    for (const int step : {hello, challenge, proof, grant}) {
        station.set({.drop_before = step, .introductions = station::Required::always});
        EXPECT_EQ(refused(&code), Reason::connection_lost) << step;
    }
    station.set({.drop_after = grant, .introductions = station::Required::always});
    EXPECT_EQ(refused(&code), Reason::connection_lost);
    station.set({.introductions = station::Required::always});
    EXPECT_EQ(refused(&code), std::nullopt);
}

TEST_F(DeviceIntroduction, A34_TheInputUnitIsAskedWhereTheStationWantsANumber)
{
    InputUnit unit({says(text(issue()) + "\r\n")});
    attach(unit);
    EXPECT_EQ(refused(), std::nullopt);
    ASSERT_EQ(unit.questions.size(), 1U);
    EXPECT_EQ(unit.questions[0], "transaction-number-required " + box.chip());
    EXPECT_EQ(station.connections(), 2);
}

TEST_F(DeviceIntroduction, A34_TheInputUnitIsLeftAloneWhereNobodyWantsANumber)
{
    InputUnit unit({says("\n")});
    attach(unit);
    station.set({});
    EXPECT_EQ(refused(), std::nullopt);
    EXPECT_TRUE(unit.questions.empty());
}

TEST_F(DeviceIntroduction, A34_WhatWasMistypedAtTheInputUnitIsAskedForAgain)
{
    InputUnit unit({says("garbage\x01\xff\n"), says("00000-00000-00000-00001\n"), says(text(issue()) + "\n")});
    attach(unit);
    EXPECT_EQ(refused(), std::nullopt);
    ASSERT_EQ(unit.questions.size(), 3U);
    EXPECT_EQ(unit.questions[2], "transaction-number-mistyped " + box.chip());
}

TEST_F(DeviceIntroduction, A34_ThriceMistypedIsEnough)
{
    InputUnit unit({says("a\n"), says("b\n"), says("c\n"), says(text(issue()) + "\n")});
    attach(unit);
    EXPECT_EQ(refused(), Reason::transaction_number_mistyped);
    EXPECT_EQ(unit.questions.size(), 3U);
}

TEST_F(DeviceIntroduction, A34_AWrongNumberFromTheInputUnitIsTheStationsToRefuse)
{
    InputUnit unit({says(text(protocol::new_transaction_number()) + "\n")});
    attach(unit);
    EXPECT_EQ(refused(), Reason::transaction_number_wrong);
}

TEST_F(DeviceIntroduction, A34_ASilentInputUnitIsGivenUp)
{
    InputUnit unit({[](int connection, const std::string&) { wait_for_end(connection); }});
    attach(unit, 1s);
    EXPECT_EQ(refused(), Reason::timed_out);
}

TEST_F(DeviceIntroduction, A34_ADribblingInputUnitIsGivenUp)
{
    InputUnit unit({[](int connection, const std::string&) {
        pollfd waiting{connection, POLLRDHUP, 0};
        while (poll(&waiting, 1, 50) == 0)
            send(connection, "0", 1, MSG_NOSIGNAL);
    }});
    attach(unit, 1s);
    EXPECT_EQ(refused(), Reason::timed_out);
}

TEST_F(DeviceIntroduction, A34_AFloodingInputUnitIsCutOff)
{
    InputUnit unit({says(std::string(1 << 16, '0'))});
    attach(unit);
    EXPECT_EQ(refused(), Reason::message_too_large);
}

TEST_F(DeviceIntroduction, A34_AnInputUnitThatIsNotThereOrGivesNothingIsNamed)
{
    {
        InputUnit unit({says(""), says("\n")});
        attach(unit);
        EXPECT_EQ(refused(), Reason::transaction_number_required);
        EXPECT_EQ(refused(), Reason::transaction_number_required);
    }
    EXPECT_EQ(refused(), Reason::connection_refused);
}

TEST_F(DeviceIntroduction, A34_CancelEndsTheWaitingForTheInputUnit)
{
    InputUnit unit({[this](int connection, const std::string&) {
        box.cancel.cancel();
        wait_for_end(connection);
    }});
    attach(unit);
    EXPECT_EQ(refused(), Reason::cancelled);
}

} // namespace

} // namespace imprint::test
