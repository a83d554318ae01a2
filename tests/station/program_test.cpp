// SPDX-License-Identifier: Apache-2.0
// The real imprint-station on the network.
#include "tests/station/running_station.h"

#include "backup/package/record.h"
#include "provisioning/protocol/central_set.h"
#include "tests/support/reason.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

namespace imprint::test {

namespace {

class Program : public ::testing::Test {
protected:
    Program() { station.trust(device); }

    Bytes personalize()
    {
        const auto stream = station.connect();
        DeviceSide side(device, stream->channel_binding());
        return personalize_over(*stream, side);
    }
    std::int64_t rows(const std::string& table)
    {
        return SQLite::Database((station.state() / "station.db").string())
            .execAndGet("SELECT count(*) FROM " + table)
            .getInt64();
    }

    TestPki pki;
    RunningStation station{pki};
    HonestDevice device;
};

const auto clock_now = [] { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); };

TEST_F(Program, A25_A27_TheCentralSystemsKeysAreSignedForDevices)
{
    const auto central = pki.server(pki::Role::central, "Central");
    const auto cross = pki::issue_cross_certificate(central.issuer(), pki.station_signing.certificate, valid);
    const auto file = [&](const char* name, const pki::Certificate& certificate) {
        write_file(station.directory / name, pki::to_pem({certificate}));
        return (station.directory / name).string();
    };
    const auto add = [&](const Arguments& with) {
        Arguments arguments{"central", "add", "--certificate", file("central.pem", central.certificate)};
        arguments.insert(arguments.end(), with.begin(), with.end());
        return station.command(arguments);
    };
    const auto listed = [&] { return nlohmann::json::parse(station.command({"central", "list", "--json"}).out); };
    EXPECT_EQ(station.command({"central", "export", "--directory", station.directory.path()}).status, 1) << "no key";
    EXPECT_EQ(add({}).status, 0);
    EXPECT_FALSE(listed()["keys"][0].contains("cross-certificate"));
    const auto first = listed()["number"].get<std::uint64_t>();
    EXPECT_EQ(add({"--cross-certificate", file("cross.pem", cross)}).status, 0);
    ASSERT_EQ(listed()["keys"].size(), 1U) << "the same key";
    EXPECT_EQ(listed()["keys"][0]["cross-certificate"]["station"], "Station 1");

    const auto update = station.directory / "update";
    const auto exported =
        station.command({"central", "export", "--output", update, "--directory", station.directory.path()});
    ASSERT_EQ(exported.status, 0) << exported.err;
    const auto set = protocol::open_central_set(read_file(update, 65536).value(), pki.trust(),
                                                protocol::CrossCertificates::required, clock_now());
    ASSERT_TRUE(set) << set.refusal().detail;
    EXPECT_GT(set->number, first);
    EXPECT_EQ(set->number, listed()["number"]);
    EXPECT_EQ(hex(protocol::pins(*set).front()), listed()["keys"][0]["sha256"]);

    EXPECT_EQ(station.command({"central", "remove", std::string(64, '0')}).status, 1) << "another key";
    EXPECT_EQ(station.command({"central", "remove", listed()["keys"][0]["sha256"]}).status, 0);
    EXPECT_TRUE(listed()["keys"].empty());
    EXPECT_EQ(rows("audit WHERE event LIKE 'central-%'"), 4);
    for (int i = 0; i < 5; ++i) {
        const auto more = pki.server(pki::Role::central, "Central");
        const auto answer = station.command({"central", "add", "--certificate", file("more.pem", more.certificate)});
        EXPECT_EQ(answer.status, i < 4 ? 0 : 1) << "at most four";
    }
}

TEST_F(Program, B1_A24_PersonalizesOverTls)
{
    station.start();
    const Bytes record = personalize();
    EXPECT_TRUE(package::open_record(record, pki.trust(), clock_now()));

    const auto chips = nlohmann::json::parse(station.command({"chip", "list", "--json"}).out);
    ASSERT_EQ(chips.size(), 1U);
    EXPECT_EQ(chips[0]["chip"], device.chip());
    EXPECT_EQ(chips[0]["identity"], "SN000001");
    const auto audit = nlohmann::json::parse(station.command({"audit", "--json"}).out);
    EXPECT_EQ(audit.back()["event"], "recorded");
    EXPECT_THAT(audit.back()["peer"].get<std::string>(), ::testing::StartsWith("127.0.0.1:"));
    const auto outbox = station.command({"outbox", "--json"});
    EXPECT_EQ(outbox.status, 3);
    EXPECT_EQ(nlohmann::json::parse(outbox.out)[0]["state"], "waiting");
    EXPECT_TRUE(pki::Crl::from_pem(as_bytes(station.command({"crl"}).out)));
    EXPECT_EQ(station.stop(), 0);
}

TEST_F(Program, OperatorsWorkWhileItRuns)
{
    station.start();
    personalize();
    EXPECT_EQ(station.command({"chip", "quarantine", device.chip(), "--note", "look"}).status, 0);
    device.move_on();
    try {
        personalize();
        FAIL() << "a chip in quarantine was personalized";
    } catch (const Error& error) {
        EXPECT_EQ(error.reason(), Reason::chip_quarantined);
        EXPECT_STREQ(error.what(), "ask the operator of this station") << "the note is for operators";
    }
    EXPECT_EQ(station.command({"chip", "release", device.chip()}).status, 0);
    EXPECT_FALSE(personalize().empty());
}

TEST_F(Program, ACopyMadeWhileItRunsIsAWholeStation)
{
    station.start();
    personalize();
    HonestDevice later; // whose personalization the copy does not know
    HonestDevice other;
    station.trust(later);
    station.trust(other);
    const auto copy = station.directory / "copy.db";
    const auto made = station.command({"backup", copy});
    ASSERT_EQ(made.status, 0) << made.err;
    EXPECT_EQ(std::filesystem::status(copy).permissions(),
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    EXPECT_FALSE(std::filesystem::exists(copy.string() + ".partial"));
    EXPECT_EQ(station.command({"backup", copy}).status, 1) << "it would be lost";
    const auto come = [&](HonestDevice& who) {
        const auto stream = station.connect();
        DeviceSide side(who, stream->channel_binding());
        return personalize_over(*stream, side);
    };
    come(later);
    EXPECT_EQ(station.stop(), 0);

    // The disk is lost: a new state with the copy and the keys.
    std::filesystem::remove(station.state() / "station.db");
    std::filesystem::rename(copy, station.state() / "station.db");
    EXPECT_EQ(station.command({"identity", "close-ranges"}).status, 1) << "there is nobody to ask";
    EXPECT_EQ(station.command({"identity", "close-ranges", "--yes"}).status, 0);
    station.start();
    EXPECT_EQ(rows("records"), 1);
    for (auto* known : {&device, &later}) {
        known->move_on();
        come(*known);
    }
    const auto given = nlohmann::json::parse(station.command({"identity", "list", "--json"}).out)["given"];
    ASSERT_EQ(given.size(), 2U);
    std::map<std::string, std::string> identities;
    for (const auto& each : given)
        identities[each["chip"]] = each["identity"];
    EXPECT_EQ(identities[device.chip()], "SN000001");
    EXPECT_EQ(identities[later.chip()], "SN000002") << "by its certificate";
    EXPECT_EQ(reason_of([&] { come(other); }), Reason::no_identity_left)
        << "the copy does not know what was given since";
}

TEST_F(Program, FailedHandshakesAreInTheAudit)
{
    station.start();
    EXPECT_THROW(station.connect("imprint/9"), Error);
    const auto audited = [&] { return nlohmann::json::parse(station.command({"audit", "--json"}).out).back(); };
    EXPECT_EQ(audited()["event"], "refused");
    EXPECT_THAT(audited()["detail"].get<std::string>(), ::testing::StartsWith("TLS: no application protocol"));
    run({"curl", "-s", "http://" + station.address}); // no TLS at all
    EXPECT_THAT(audited()["detail"].get<std::string>(), ::testing::HasSubstr("http request"));
}

TEST_F(Program, WrongUsageIsToldApart)
{
    EXPECT_EQ(station.command({}).status, 2);
    EXPECT_EQ(station.command({"chip"}).status, 2);
    const auto typo = station.command({"adit"});
    EXPECT_EQ(typo.status, 2);
    EXPECT_THAT(typo.err, ::testing::HasSubstr("adit"));
    const auto unknown = station.command({"chip", "show", std::string(64, '0')});
    EXPECT_EQ(unknown.status, 1);
    EXPECT_THAT(unknown.err,
                ::testing::AllOf(::testing::HasSubstr("(unknown-chip)"), ::testing::HasSubstr("Why: "),
                                 ::testing::HasSubstr("What to do: ")));
}

// The configuration of `serve` must not make a server of another command.
TEST_F(Program, OneConfigurationIsForEveryCommand)
{
    const auto config = [&](const std::string& text) {
        write_file(station.directory / "station.conf", as_bytes(text));
        return station.command({"--config", (station.directory / "station.conf").string(), "audit"});
    };
    EXPECT_EQ(config("[serve]\nlisten = [\":0\"]\n").status, 0);
    const auto typo = config("[serve]\nlistn = [\":0\"]\n");
    EXPECT_EQ(typo.status, 2);
    EXPECT_THAT(typo.err, ::testing::HasSubstr("listn"));
}

TEST_F(Program, WhatCannotBeServedIsRefusedAtTheStart)
{
    const auto refused = [&](const Arguments& more) {
        Arguments all{"serve", "--directory", station.directory.path().string()};
        all.insert(all.end(), more.begin(), more.end());
        const auto finished = station.command(all);
        EXPECT_EQ(finished.status, 1) << finished.out << finished.err;
        return finished.err;
    };
    write_file(station.directory / "empty.pem", as_bytes("no certificate\n"));
    EXPECT_THAT(refused({"--listen", "127.0.0.1:0", "--vendor-ca", (station.directory / "empty.pem").string()}),
                ::testing::HasSubstr("holds no certificate"));
    EXPECT_THAT(refused({"--listen", "127.0.0.1:99999"}), ::testing::HasSubstr("no port from 0 to 65535"));
}

TEST_F(Program, OversizedMessagesAreRefusedByTheirLength)
{
    station.start();
    const auto stream = station.connect();
    stream->write(Bytes{0xff, 0xff, 0xff, 0xff}, soon());
    const Bytes header = stream->read(4, soon());
    const auto size = protocol::announced_length({header[0], header[1], header[2], header[3]}).or_throw();
    const auto answer = protocol::parse(stream->read(size, soon())).or_throw();
    EXPECT_EQ(protocol::refusal_of(answer.refused()).reason, Reason::message_too_large);
    EXPECT_THROW(stream->read(1, soon()), Error);
}

TEST_F(Program, Attack30_OnlyTls13WithTheProtocolsName)
{
    station.start();
    EXPECT_THROW(station.connect("http/1.1"), Error);
    const auto silent = station.connect("");
    EXPECT_THROW(send_and_receive(*silent, Bytes{1}), Error);
    EXPECT_NE(run({"openssl", "s_client", "-connect", station.address, "-tls1_2", "-alpn", "imprint/1"}).status, 0);
    EXPECT_FALSE(personalize().empty());
}

TEST_F(Program, Attack28_ASilentDeviceIsCutOffAndHoldsNobodyUp)
{
    station.start({"--message-timeout", "1", "--handshake-timeout", "1", "--max-connections", "8"});
    std::vector<std::unique_ptr<tls::Stream>> silent;
    for (int i = 0; i < 4; ++i)
        silent.push_back(station.connect());
    EXPECT_FALSE(personalize().empty());
    for (const auto& stream : silent)
        EXPECT_THROW(stream->read(1, soon()), Error);
}

TEST_F(Program, TheConfigurationFileAndItsMistakes)
{
    write_file(station.directory / "station.conf",
               as_bytes("state = \"" + station.state().string() +
                        "\"\n[serve]\nlisten = [\"unix:" + (station.directory / "socket").string() +
                        "\"]\ndirectory = \"" + station.directory.path().string() + "\"\nmessage-timeout = 5\n"));
    {
        Process process({IMPRINT_STATION, "--config", station.directory / "station.conf", "serve"});
        EXPECT_EQ(process.line_after("listening station "), "unix:" + (station.directory / "socket").string());
        process.signal(SIGTERM);
        EXPECT_EQ(process.wait(), 0);
    }
    EXPECT_FALSE(station.try_start({"--archive", "http://plain"}));
    EXPECT_FALSE(station.try_start({"--vendor-ca", "/nonexistent"}));
    EXPECT_FALSE(station.try_start({"--master-key", "/dev/null"}));
    write_file(station.directory / "tls.pem", pki::to_pem({pki.archive.certificate}));
    EXPECT_FALSE(station.try_start());
}

// Killed before and after every sync, from the start of the program to the receipt.
TEST_F(Program, Attack09_AKillAtEveryCommitLosesNothingAndDoublesNothing)
{
    int kills = 0;
    std::set<std::uint64_t> recorded;
    for (const char* when : {"IMPRINT_KILL_BEFORE", "IMPRINT_KILL_AFTER"})
        for (int n = 1, survived = 0; survived == 0; ++n) {
            SCOPED_TRACE(std::string(when) + " " + std::to_string(n));
            Bytes record;
            std::optional<DeviceSide> side;
            if (station.try_start({},
                                  {{"LD_PRELOAD", KILL_AT_SYNC},
                                   {when, std::to_string(n)},
                                   {"ASAN_OPTIONS", "verify_asan_link_order=0"}}))
                try {
                    const auto stream = station.connect();
                    side.emplace(device, stream->channel_binding());
                    record = personalize_over(*stream, *side);
                } catch (const Error& error) {
                    // Killed in the conversation, or between its announcement and our connection.
                    EXPECT_TRUE(error.reason() == Reason::connection_lost ||
                                error.reason() == Reason::connection_refused)
                        << error.what();
                }
            survived = record.empty() ? 0 : 1;
            kills += 1 - survived;
            station.kill();
            if (!side || !side->backed_up()) {
                ASSERT_TRUE(record.empty());
                continue;
            }

            station.start();
            const auto answer = ask(*station.connect(), side->resume());
            if (!record.empty()) {
                ASSERT_TRUE(answer.has_receipt()) << "an acknowledged record was lost";
                EXPECT_EQ(to_bytes(answer.receipt().record()), record);
            }
            if (answer.has_receipt()) {
                recorded.insert(device.epoch() + 1);
                device.move_on();
            }
            station.kill();
        }
    EXPECT_GE(kills, 8);
    EXPECT_EQ(rows("records"), static_cast<std::int64_t>(recorded.size()));
    EXPECT_EQ(rows("outbox"), static_cast<std::int64_t>(recorded.size()));
    EXPECT_EQ(rows("chips"), 1);
}

} // namespace

} // namespace imprint::test
