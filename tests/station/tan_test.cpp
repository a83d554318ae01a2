// SPDX-License-Identifier: Apache-2.0
// imprint-station tan: what operators get, once, and what devices then do with it over real connections.
#include "tests/station/running_station.h"

#include "provisioning/server/qr.h"

#include <barrier>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <thread>

namespace imprint::test {

namespace {

using nlohmann::json;
using protocol::IntroductionCode;

class Tan : public ::testing::Test {
protected:
    Tan() { station.trust(device); }

    json issue(Arguments more = {})
    {
        more.insert(more.begin(), {"tan", "issue", "--json"});
        const auto finished = station.command(more);
        EXPECT_EQ(finished.status, 0) << finished.err;
        return json::parse(finished.out);
    }
    static IntroductionCode read(const json& issued)
    {
        return protocol::read_transaction_number(issued["number"].get<std::string>()).or_throw();
    }
    json entry(const std::string& selector)
    {
        for (const auto& listed : json::parse(station.command({"tan", "list", "--json"}).out))
            if (listed["selector"] == selector)
                return listed;
        return {};
    }
    // Over a connection of its own; the station's refusal, or nothing.
    std::optional<Reason> personalize(HonestDevice& by, const IntroductionCode& code)
    {
        const auto stream = station.connect();
        DeviceSide side(by, stream->channel_binding());
        return personalize_over(*stream, side, &code);
    }
    static std::optional<Reason> personalize_over(tls::Stream& stream, DeviceSide& side, const IntroductionCode* code)
    {
        Bytes answer = send_and_receive(stream, side.send_hello(code == nullptr ? side.hello() : side.hello(*code)));
        if (const auto no = refusal_in(answer))
            return no;
        answer = send_and_receive(stream, protocol::serialize(side.proof(answer)));
        if (const auto no = refusal_in(answer))
            return no;
        return refusal_in(send_and_receive(stream, protocol::serialize(side.backup(answer))));
    }
    static std::optional<Reason> refusal_in(BytesView message)
    {
        const auto parsed = protocol::parse(message).or_throw();
        if (!parsed.has_refused())
            return std::nullopt;
        return protocol::refusal_of(parsed.refused()).reason;
    }

    TestPki pki;
    RunningStation station{pki};
    HonestDevice device;
};

TEST_F(Tan, A37_A38_IssuedUsedAndUsedUp)
{
    station.start({"--require-introduction", "always"});
    const auto issued = issue({"--reason", "bench 3"});
    ASSERT_EQ(issued.size(), 1U);
    const auto code = read(issued[0]);
    EXPECT_EQ(issued[0]["selector"], code.selector);
    EXPECT_EQ(entry(code.selector)["state"], "open");
    EXPECT_EQ(entry(code.selector)["reason"], "bench 3");
    {
        const auto stream = station.connect();
        DeviceSide side(device, stream->channel_binding());
        EXPECT_EQ(personalize_over(*stream, side, nullptr), Reason::transaction_number_required);
    }
    EXPECT_EQ(personalize(device, code), std::nullopt);
    const auto used = entry(code.selector);
    EXPECT_EQ(used["state"], "used");
    EXPECT_EQ(used["used-by"], device.chip());
    EXPECT_EQ(used["recorded"], true);
    device.move_on();
    EXPECT_EQ(personalize(device, code), Reason::transaction_number_used);
}

TEST_F(Tan, A37_AnExemptAddressAsksForNone)
{
    station.start(
        {"--require-introduction", "always", "--listen-exempt", "unix:" + (station.directory / "s").string()});
    ASSERT_THAT(station.address, ::testing::StartsWith("unix:"));
    const auto stream = station.connect();
    DeviceSide side(device, stream->channel_binding());
    EXPECT_EQ(personalize_over(*stream, side, nullptr), std::nullopt);
    device.move_on();
    EXPECT_EQ(personalize(device, protocol::new_transaction_number()), Reason::transaction_number_wrong);
}

TEST_F(Tan, A34_RevokedAndExpiredOnesAreRefused)
{
    station.start();
    const auto revoked = read(issue()[0]);
    EXPECT_EQ(station.command({"tan", "revoke", revoked.selector}).status, 0);
    EXPECT_EQ(station.command({"tan", "revoke", revoked.selector}).status, 1);
    EXPECT_EQ(entry(revoked.selector)["state"], "revoked");
    EXPECT_EQ(personalize(device, revoked), Reason::transaction_number_expired);
    const auto bound = issue({"--chip", std::string(64, 'e'), "--valid", "7d"})[0];
    EXPECT_EQ(personalize(device, read(bound)), Reason::transaction_number_foreign);
    const auto promised = read(issue({"--identity", "SN-SEVEN"})[0]);
    EXPECT_EQ(personalize(device, promised), std::nullopt);
    EXPECT_EQ(json::parse(station.command({"chip", "list", "--json"}).out)[0]["identity"], "SN-SEVEN");
}

TEST_F(Tan, Attack26_OfTwentyParallelConnectionsOneChipWins)
{
    station.start({"--require-introduction", "always"});
    const auto code = read(issue()[0]);
    constexpr unsigned devices = 20;
    std::vector<std::unique_ptr<HonestDevice>> all;
    for (unsigned i = 0; i < devices; ++i) {
        all.push_back(std::make_unique<HonestDevice>(SoftwareTpm::Kind::bare, i));
        station.trust(*all.back());
    }
    std::barrier together(devices);
    std::atomic<unsigned> won = 0;
    std::atomic<unsigned> lost = 0;
    {
        std::vector<std::jthread> threads;
        for (auto& one : all)
            threads.emplace_back([&, by = one.get()] {
                together.arrive_and_wait();
                const auto no = personalize(*by, code);
                if (!no)
                    ++won;
                else if (no == Reason::transaction_number_in_use || no == Reason::transaction_number_used)
                    ++lost;
            });
    }
    EXPECT_EQ(won, 1U);
    EXPECT_EQ(lost, devices - 1);
    EXPECT_EQ(json::parse(station.command({"chip", "list", "--json"}).out).size(), 1U);
}

TEST_F(Tan, Attack26_ALineThatDropsFreesTheNumber)
{
    station.start({"--require-introduction", "always"});
    const auto code = read(issue()[0]);
    HonestDevice second(SoftwareTpm::Kind::bare, 1);
    station.trust(second);
    {
        const auto stream = station.connect();
        DeviceSide side(device, stream->channel_binding());
        ASSERT_EQ(refusal_in(send_and_receive(*stream, side.send_hello(side.hello(code)))), std::nullopt);
        EXPECT_EQ(personalize(second, code), Reason::transaction_number_in_use);
    }
    // The station learns of it by and by.
    const auto patience = soon();
    auto no = personalize(second, code);
    while (no == Reason::transaction_number_in_use && std::chrono::steady_clock::now() < patience)
        no = personalize(second, code);
    EXPECT_EQ(no, std::nullopt);
}

TEST_F(Tan, Attack26_TheNumberIsInNoLogAuditOrDatabase)
{
    station.start();
    const auto issued = issue({"--count", "2"});
    const auto code = read(issued[0]);
    const IntroductionCode wrong{code.kind, code.selector, read(issued[1]).secret.clone()};
    EXPECT_EQ(personalize(device, wrong), Reason::transaction_number_wrong);
    EXPECT_EQ(personalize(device, code), std::nullopt);
    std::string all = station.command({"audit", "--json"}).out + station.command({"tan", "list"}).out +
        station.command({"tan", "list", "--json"}).out;
    EXPECT_EQ(station.stop(), 0);
    for (const auto& file : std::filesystem::recursive_directory_iterator(station.directory.path()))
        if (file.is_regular_file())
            all += to_string(read_file(file.path(), 1 << 26).value());
    EXPECT_THAT(all, ::testing::HasSubstr(code.selector));
    for (const auto& number : issued) {
        const auto text = number["number"].get<std::string>();
        EXPECT_EQ(all.find(text), std::string::npos);
        EXPECT_EQ(all.find(as_text(read(number).secret.view())), std::string::npos);
        EXPECT_EQ(all.find(text.substr(11)), std::string::npos); // the last two groups
    }
}

TEST_F(Tan, IssuesManyForPeopleAndRefusesNonsense)
{
    const auto many = station.command({"tan", "issue", "--count", "50"});
    EXPECT_EQ(many.err, "");
    const std::regex line("([0-9A-Z]{5}(-[0-9A-Z]{5}){3})  until [0-9TZ:-]{20}\n");
    std::set<std::string> seen;
    for (std::sregex_iterator i(many.out.begin(), many.out.end(), line), end; i != end; ++i) {
        EXPECT_TRUE(protocol::read_transaction_number((*i)[1].str()));
        seen.insert((*i)[1]);
    }
    EXPECT_EQ(seen.size(), 50U);
    EXPECT_EQ(std::regex_replace(many.out, line, ""), "");

    EXPECT_EQ(station.command({"tan", "issue", "--chip", "xy"}).status, 1);
    EXPECT_EQ(station.command({"tan", "issue", "--valid", "0"}).status, 1);
    EXPECT_EQ(station.command({"tan", "issue", "--valid", "soon"}).status, 2);
    EXPECT_EQ(station.command({"tan", "issue", "--count", "0"}).status, 2);
    EXPECT_EQ(station.command({"tan", "issue", "--count", "2", "--svg", "x"}).status, 2);
    EXPECT_EQ(station.command({"tan", "issue", "--json", "--qr"}).status, 2);
    EXPECT_EQ(station.command({"serve", "--listen", "127.0.0.1:0", "--require-introduction", "perhaps"}).status, 2);
    const auto typed = station.command({"tan", "revoke", *seen.begin()});
    EXPECT_EQ(typed.status, 1);
    EXPECT_EQ(typed.err.find(*seen.begin()), std::string::npos) << "a number is not repeated";
    EXPECT_EQ(json::parse(station.command({"tan", "list", "--json"}).out).size(), 50U);
}

// What a camera would see.
std::string decoded(const std::vector<std::vector<bool>>& dark, const TemporaryDirectory& directory)
{
    constexpr std::size_t scale = 4;
    std::string picture =
        "P5 " + std::to_string(dark.front().size() * scale) + " " + std::to_string(dark.size() * scale) + " 255\n";
    for (const auto& row : dark)
        for (std::size_t i = 0; i < scale; ++i)
            for (const bool module : row)
                picture.append(scale, module ? '\0' : '\xff');
    write_file(directory / "qr.pgm", as_bytes(picture));
    return run({"/usr/bin/zbarimg", "--quiet", "--raw", directory / "qr.pgm"}).out;
}

std::vector<std::vector<bool>> modules_of_text(const std::string& text)
{
    std::vector<std::vector<bool>> dark;
    for (std::size_t at = 0; at < text.size(); ++at) {
        std::vector<bool> upper;
        std::vector<bool> lower;
        for (; text[at] != '\n'; ++at) {
            const bool blank = text[at] == ' ';
            const auto block = blank ? std::string(" ") : text.substr(at, 3);
            upper.push_back(blank || block == "\u2584");
            lower.push_back(blank || block == "\u2580");
            at += blank ? 0 : 2;
        }
        dark.push_back(upper);
        dark.push_back(lower);
    }
    return dark;
}

std::vector<std::vector<bool>> modules_of_svg(const std::string& svg)
{
    std::smatch size;
    std::regex_search(svg, size, std::regex("viewBox=\"0 0 ([0-9]+) "));
    const std::size_t width = std::stoul(size[1]);
    std::vector<std::vector<bool>> dark(width, std::vector<bool>(width));
    const std::regex square("M([0-9]+) ([0-9]+)h1v1h-1z");
    for (std::sregex_iterator i(svg.begin(), svg.end(), square), end; i != end; ++i)
        dark.at(std::stoul((*i)[2])).at(std::stoul((*i)[1])) = true;
    return dark;
}

TEST_F(Tan, A34_QrCodesOnTheTerminalAndAsSvgReadBack)
{
    const auto svg = station.directory / "tan.svg";
    const auto issued = station.command({"tan", "issue", "--qr", "--svg", svg});
    ASSERT_EQ(issued.status, 0) << issued.err;
    const auto number = issued.out.substr(0, 23);
    ASSERT_TRUE(protocol::read_transaction_number(number));
    EXPECT_EQ(decoded(modules_of_text(issued.out.substr(issued.out.find('\n') + 1)), station.directory), number + '\n');
    const auto picture = to_string(read_file(svg, 1 << 20).value());
    EXPECT_EQ(run({"/usr/bin/xmllint", "--noout", svg}).status, 0);
    EXPECT_EQ(decoded(modules_of_svg(picture), station.directory), number + '\n');
    EXPECT_EQ(std::filesystem::status(svg).permissions(), std::filesystem::perms(0600)) << "it is a secret";
}

TEST(Qr, OnATerminalBringsItsOwnColoursAndTooMuchTextIsRefused)
{
    const auto plain = to_string(server::qr_text("7Q2MX", false).view());
    const auto coloured = to_string(server::qr_text("7Q2MX", true).view());
    EXPECT_EQ(std::regex_replace(coloured, std::regex("\x1b\\[[0-9;]+m"), ""), plain);
    EXPECT_THAT(coloured, ::testing::StartsWith("\x1b[40;97m"));
    EXPECT_THROW(server::qr_text(std::string(5000, 'x'), false), Error);
    EXPECT_THROW(server::qr_svg(""), Error);
}

} // namespace

} // namespace imprint::test
