// SPDX-License-Identifier: Apache-2.0
// Two real imprint-stations and a real archive: what the one did in the field gets home.
#include "tests/station/running_station.h"

#include "provisioning/protocol/sync_messages.h"
#include "tests/support/reason.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace imprint::test {

namespace {

const tls::Cancel never;

class Home : public ::testing::Test {
protected:
    Home()
    {
        laptop.trust(device);
        laptop.start();
        personalize();
        device.move_on();
        personalize();
        laptop.stop();
        identify(pki.server(pki::Role::station_tls, "laptop"));
        const auto signing = pki.ca(pki::Role::station_signing, "laptop"); // its list goes along
        write_file(laptop.directory / "signing.pem", pki::to_pem({signing.certificate}));
        remove_file(laptop.directory / "signing.key");
        pki::store_key(laptop.directory / "signing.key", signing.key.get(), std::nullopt);
    }

    void personalize()
    {
        const auto stream = laptop.connect();
        DeviceSide side(device, stream->channel_binding());
        personalize_over(*stream, side);
    }
    // The laptop shows this certificate to the main station.
    void identify(const Certified& certified)
    {
        write_file(laptop.directory / "tls.pem", pki::to_pem({certified.certificate}));
        remove_file(laptop.directory / "tls.key");
        pki::store_key(laptop.directory / "tls.key", certified.key.get(), std::nullopt);
    }
    bool start_main(const Environment& environment = {})
    {
        return main.try_start({"--listen-operations", "127.0.0.1:0"}, environment);
    }
    Finished sync(const Arguments& more = {}) const
    {
        Arguments arguments{"sync", "--directory", laptop.directory.path(), "--to", main.operations};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return laptop.command(arguments);
    }
    static std::int64_t rows(const RunningStation& station, const std::string& table,
                             const std::string& condition = "1")
    {
        return SQLite::Database((station.state() / "station.db").string())
            .execAndGet("SELECT count(*) FROM " + table + " WHERE " + condition)
            .getInt64();
    }
    void expect_all_at_home()
    {
        EXPECT_EQ(rows(main, "records"), 2);
        EXPECT_EQ(rows(main, "outbox"), 2);
        EXPECT_EQ(rows(main, "chips"), 1);
        EXPECT_EQ(rows(main, "grants", "state = 'received'"), 2);
        EXPECT_EQ(rows(main, "audit", "origin = 'laptop'"), rows(laptop, "audit"));
        EXPECT_EQ(rows(main, "audit", "event = 'synchronized'"), 2);
        EXPECT_EQ(rows(main, "conflicts"), 0);
    }

    TestPki pki;
    RunningStation laptop{pki};
    RunningStation main{pki};
    HonestDevice device;
};

TEST_F(Home, A33_RecordsAndAuditGetThereAndAgainIsANoOp)
{
    ASSERT_TRUE(start_main());
    const auto asked = sync({"--dry-run"});
    EXPECT_EQ(asked.status, 0) << asked.err;
    const auto audit = rows(laptop, "audit");
    EXPECT_EQ(asked.out,
              "2 records, 0 used introductions, 0 replacements and " + std::to_string(audit) +
                  " audit entries would be sent\n");
    EXPECT_EQ(rows(main, "records"), 0);
    const auto first = sync();
    EXPECT_EQ(first.status, 0) << first.err;
    EXPECT_THAT(first.out,
                ::testing::HasSubstr(std::to_string(2 + audit) + " were taken, 0 were known already, 0 were not"));
    expect_all_at_home();
    const auto again = nlohmann::json::parse(sync({"--json"}).out);
    EXPECT_EQ(again["missing"]["records"], 0);
    EXPECT_EQ(again["missing"]["audit"], 0);
    EXPECT_EQ(again["troubles"].size(), 0U);
    expect_all_at_home();
    EXPECT_THAT(main.command({"audit"}).out, ::testing::HasSubstr("(at laptop)"));
}

TEST_F(Home, AConflictIsShownAndListed)
{
    ASSERT_TRUE(start_main());
    ASSERT_EQ(main.command({"chip", "quarantine", device.chip()}).status, 0);
    const auto first = sync();
    EXPECT_EQ(first.status, 4) << first.err;
    EXPECT_THAT(first.out, ::testing::HasSubstr("conflict: record " + device.chip()));
    const auto listed = main.command({"conflicts"});
    EXPECT_EQ(listed.status, 4);
    EXPECT_THAT(listed.out, ::testing::HasSubstr("laptop record " + device.chip()));
    const auto whole = nlohmann::json::parse(main.command({"conflicts", "--json"}).out);
    ASSERT_EQ(whole.size(), 2U);
    EXPECT_GT(whole[0]["content"].get<std::string>().size(), 2U * 4096U);
    ASSERT_EQ(main.command({"chip", "release", device.chip()}).status, 0);
    EXPECT_EQ(sync().status, 0);
    EXPECT_EQ(main.command({"conflicts"}).status, 0);
}

// At every point where the main station's state becomes durable, and right before: once more, and all is there once.
TEST_F(Home, Attack08_KilledAtEveryCommit)
{
    int kills = 0;
    const auto empty = main.directory / "empty";
    std::filesystem::copy(main.state(), empty, std::filesystem::copy_options::recursive);
    for (const char* when : {"IMPRINT_KILL_BEFORE", "IMPRINT_KILL_AFTER"})
        for (int n = 1, survived = 0; survived == 0; ++n) {
            SCOPED_TRACE(std::string(when) + " " + std::to_string(n));
            std::filesystem::remove_all(main.state());
            std::filesystem::copy(empty, main.state(), std::filesystem::copy_options::recursive);
            const bool came_up = start_main({{"LD_PRELOAD", KILL_AT_SYNC},
                                             {when, std::to_string(n)},
                                             {"ASAN_OPTIONS", "verify_asan_link_order=0"}});
            if (came_up && !main.operations.empty())
                survived = sync().status == 0 ? 1 : 0;
            kills += 1 - survived;
            main.kill();
            ASSERT_TRUE(start_main());
            ASSERT_EQ(sync().status, 0);
            expect_all_at_home();
            main.kill();
        }
    EXPECT_GE(kills, 4);
}

// The unit writes nothing while it synchronizes: killed anywhere, it is as it was.
TEST_F(Home, Attack08_TheUnitIsKilledAnywhere)
{
    ASSERT_TRUE(start_main());
    const auto before = rows(laptop, "audit");
    for (int i = 0; i < 10; ++i) {
        Process killed({IMPRINT_STATION, "--state", laptop.state(), "sync", "--directory", laptop.directory.path(),
                        "--to", main.operations},
                       {}, laptop.directory / "sync.log");
        for (int turns = 0; turns < i * 100'000 && killed.running(); ++turns)
            continue;
        killed.signal(SIGKILL);
        killed.wait();
    }
    EXPECT_EQ(rows(laptop, "audit"), before);
    EXPECT_EQ(sync().status, 0);
    expect_all_at_home();
}

// By its protocol alone: the program would not even begin with what is no station's.
TEST_F(Home, Attack01_WhoIsNoStationMaySynchronizeNothing)
{
    ASSERT_TRUE(start_main());
    const auto trust = pki.trust();
    protocol::SyncMessage offer;
    offer.mutable_offer()->set_database(std::string(32, 'a'));
    const auto answered = [&](std::optional<tls::ClientIdentity> identity) {
        return !reason_of([&] {
            tls::Stream stream(
                tls::connect(main.operations, 1, soon(), never),
                {trust, pki::Role::station_tls, "127.0.0.1", std::string(protocol::sync_alpn), std::move(identity)},
                soon(), never);
            send_and_receive(stream, protocol::serialize(offer));
        });
    };
    const auto refused = [&](const Certified& certified, const std::string& reason) {
        const auto told = [&] { return rows(main, "audit", "reason = '" + reason + "'"); };
        const auto before = told();
        EXPECT_FALSE(answered(tls::ClientIdentity{{certified.certificate}, share(certified.key)})) << reason;
        for (int i = 0; i < 1000 && told() == before; ++i) // the unit may hear of it first
            continue;
        EXPECT_EQ(told(), before + 1) << reason;
    };
    const TestPki twin;
    refused(pki.archive, "wrong-role");
    refused(pki.station_signing, "wrong-role");
    refused(pki.station_operator("courier"), "wrong-role");
    refused(pki.mirror("mirror"), "wrong-role");
    refused(pki.server(pki::Role::station_tls, "late", expired), "certificate-expired");
    refused(pki.server(pki::Role::station_tls, "early", not_yet_valid), "certificate-not-yet-valid");
    refused(twin.station_tls, "untrusted-certificate");
    EXPECT_FALSE(answered(std::nullopt)) << "without a certificate";
    const auto unit = pki.server(pki::Role::station_tls, "laptop");
    EXPECT_TRUE(answered(tls::ClientIdentity{{unit.certificate}, share(unit.key)})) << "and who is one is";
    EXPECT_EQ(rows(main, "records"), 0);
    EXPECT_EQ(rows(main, "audit", "origin <> ''"), 0);
}

// A stolen laptop: its TLS certificate is on the manufacturer's list, which is part of the bundle.
TEST_F(Home, Attack01_ARevokedUnitMaySynchronizeNothing)
{
    const auto stolen = pki.server(pki::Role::station_tls, "stolen");
    const auto der = main.directory / "crl.der";
    write_file(der, pki.crl(stolen.certificate).der());
    const auto list = run({"openssl", "crl", "-inform", "DER", "-in", der});
    write_file(main.directory / "trust.pem", as_bytes(to_string(pki.trust_pem()) + list.out));
    ASSERT_TRUE(start_main());
    identify(stolen);
    EXPECT_EQ(sync().status, 1);
    EXPECT_EQ(rows(main, "records"), 0);
    EXPECT_EQ(rows(main, "audit", "reason = 'certificate-revoked'"), 1);
    identify(pki.server(pki::Role::station_tls, "laptop"));
    EXPECT_EQ(sync().status, 0);
    expect_all_at_home();
}

// The other way round: the unit gives nothing to whoever is not the main station.
TEST_F(Home, Attack01_TheMainStationIsCheckedToo)
{
    TemporaryDirectory directory;
    write_file(directory / "tls.pem", pki::to_pem({pki.archive.certificate}));
    pki::store_key(directory / "tls.key", pki.archive.key.get(), std::nullopt);
    Process impostor(Arguments{"openssl", "s_server", "-www", "-accept", "127.0.0.1:0", "-alpn", "imprint-sync/1",
                               "-cert", directory / "tls.pem", "-key", directory / "tls.key"});
    main.operations = impostor.line_after("ACCEPT ").value();
    const auto refused = sync();
    EXPECT_EQ(refused.status, 1);
    EXPECT_THAT(refused.err, ::testing::HasSubstr("wrong-role"));
    main.operations = "127.0.0.1:1";
    EXPECT_THAT(sync().err, ::testing::HasSubstr("connection-refused"));
}

TEST_F(Home, Attack17_AMessageThatIsTooLargeIsNotEvenRead)
{
    ASSERT_TRUE(start_main());
    const auto trust = pki.trust();
    const auto unit = pki.server(pki::Role::station_tls, "laptop");
    const auto answer_to = [&](const Bytes& header) {
        tls::Stream stream(tls::connect(main.operations, 1, soon(), never),
                           tls::ClientSettings{trust, pki::Role::station_tls, "127.0.0.1",
                                               std::string(protocol::sync_alpn),
                                               tls::ClientIdentity{{unit.certificate}, share(unit.key)}},
                           soon(), never);
        stream.write(header, soon());
        const Bytes size = stream.read(4, soon());
        const auto answer = stream.read(
            protocol::announced_length({size[0], size[1], size[2], size[3]}, protocol::max_sync_message).or_throw(),
            soon());
        return protocol::refusal_of(protocol::parse_sync(answer).or_throw().refused()).reason;
    };
    EXPECT_EQ(answer_to({0x00, 0x10, 0x00, 0x01}), Reason::message_too_large);
    EXPECT_EQ(answer_to({0xff, 0xff, 0xff, 0xff}), Reason::message_too_large);
    EXPECT_EQ(answer_to({0, 0, 0, 0}), Reason::malformed_message);
    EXPECT_EQ(answer_to({0, 0, 0, 1, 0x55}), Reason::malformed_message);
    EXPECT_EQ(rows(main, "audit", "detail LIKE 'synchronization of station laptop%'"), 4);
}

TEST_F(Home, WhereToIsAsked)
{
    EXPECT_EQ(laptop.command({"sync"}).status, 2);
    EXPECT_EQ(laptop.command({"sync", "--to", "a:1", "--archive", "https://a:1"}).status, 2);
    main.operations = "nowhere";
    EXPECT_THAT(sync().err, ::testing::HasSubstr("invalid-argument"));
}

} // namespace

} // namespace imprint::test
