// SPDX-License-Identifier: Apache-2.0
// Records on their way to the real imprint-archive.
#include "tests/station/running_archive.h"
#include "tests/station/running_station.h"

#include "backup/package/receipt.h"
#include "backup/package/record.h"
#include "provisioning/station/outbox.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace imprint::test {

namespace {

class Outbox : public ::testing::Test {
protected:
    Outbox() { first.trust(device); }

    Bytes personalize(const RunningStation& station)
    {
        const auto stream = station.connect();
        DeviceSide side(device, stream->channel_binding());
        return personalize_over(*stream, side);
    }
    static nlohmann::json entries(const RunningStation& station)
    {
        return nlohmann::json::parse(station.command({"outbox", "--json"}).out);
    }
    static int wait(const RunningStation& station) { return station.command({"outbox", "--wait", "30"}).status; }

    TestPki pki;
    RunningStation first{pki};
    HonestDevice device;
};

TEST_F(Outbox, B1_ARecordReachesTheArchiveAndItsReceiptIsKept)
{
    RunningArchive archive(pki, pki.archive);
    first.start({"--archive", archive.url()});
    const Bytes record = personalize(first);
    EXPECT_EQ(wait(first), 0);
    EXPECT_TRUE(entries(first).empty());

    SQLite::Database database((first.state() / "station.db").string());
    SQLite::Statement query(database, "SELECT receipt FROM outbox WHERE state = 'delivered'");
    ASSERT_TRUE(query.executeStep());
    const auto* begin = static_cast<const std::uint8_t*>(query.getColumn(0).getBlob());
    const Bytes stored(begin, begin + query.getColumn(0).getBytes());
    const auto receipt = package::open_receipt(stored, pki.trust(), std::nullopt).or_throw();
    EXPECT_EQ(receipt.chip_identifier, device.chip());
    EXPECT_EQ(receipt.record_digest, package::record_digest(record));
}

TEST_F(Outbox, SurvivesRestartsAndAnUnreachableArchive)
{
    RunningArchive archive(pki, pki.archive);
    archive.stop();
    first.start({"--archive", archive.url()});
    personalize(first);
    device.move_on();
    personalize(first);
    EXPECT_EQ(first.command({"outbox"}).status, 3);
    first.kill();
    ASSERT_EQ(entries(first).size(), 2U);

    first.start({"--archive", archive.url()});
    archive.start();
    EXPECT_EQ(wait(first), 0);
}

TEST_F(Outbox, Attack37_AClockThatWasSetBackHoldsNothingUp)
{
    RunningArchive archive(pki, pki.archive);
    first.start({});
    personalize(first);
    first.kill();
    SQLite::Database((first.state() / "station.db").string(), SQLite::OPEN_READWRITE)
        .exec("UPDATE outbox SET next_attempt = 4102444800"); // in the year 2100
    first.start({"--archive", archive.url()});
    EXPECT_EQ(wait(first), 0);
}

TEST_F(Outbox, TellsWhyTheArchiveCannotBeReached)
{
    RunningArchive archive(pki, pki.archive);
    archive.stop();
    first.start({"--archive", archive.url()});
    personalize(first);
    const auto told = [&] { return entries(first).at(0); };
    auto entry = told();
    for (; entry["attempts"] == 0; entry = told())
        first.command({"outbox", "--wait", "1"});
    EXPECT_EQ(entry["last-error"], "Connection refused");
    EXPECT_EQ(entry["next-attempt"], "");
}

TEST_F(Outbox, AConflictIsLeftToTheOperator)
{
    RunningArchive archive(pki, pki.archive);
    RunningStation second(pki);
    second.trust(device);
    first.start({"--archive", archive.url()});
    second.start({"--archive", archive.url()});
    personalize(first);
    ASSERT_EQ(wait(first), 0);
    personalize(second); // the same chip and sequence, another record
    EXPECT_EQ(wait(second), 4);
    const auto left = entries(second);
    ASSERT_EQ(left.size(), 1U);
    EXPECT_EQ(left[0]["state"], "conflict");
    EXPECT_THAT(left[0]["last-error"].get<std::string>(), ::testing::HasSubstr("409"));
    EXPECT_THAT(second.command({"audit"}).out, ::testing::HasSubstr("delivery-conflict"));
}

TEST_F(Outbox, Attack01_AServerInAnotherRoleGetsNothing)
{
    TemporaryDirectory directory;
    write_file(directory / "tls.pem", pki::to_pem({pki.station_tls.certificate}));
    pki::store_key(directory / "tls.key", pki.station_tls.key.get(), std::nullopt);
    Process impostor(Arguments{"openssl", "s_server", "-www", "-accept", "127.0.0.1:0", "-cert", directory / "tls.pem",
                               "-key", directory / "tls.key"});
    first.start({"--archive", "https://" + impostor.line_after("ACCEPT ").value()});
    personalize(first);
    const auto told = [&] { return first.command({"outbox", "--wait", "1", "--json"}); };
    auto finished = told();
    while (nlohmann::json::parse(finished.out)[0]["attempts"] == 0)
        finished = told();
    EXPECT_EQ(finished.status, 3);
    EXPECT_THAT(nlohmann::json::parse(finished.out)[0]["last-error"].get<std::string>(),
                ::testing::HasSubstr("its certificate"));
}

TEST(RetryDelay, DoublesUpToAnHour)
{
    using std::chrono::seconds;
    EXPECT_EQ(station::retry_delay(0), seconds(1));
    EXPECT_EQ(station::retry_delay(5), seconds(32));
    EXPECT_EQ(station::retry_delay(12), seconds(3600));
    EXPECT_EQ(station::retry_delay(4'000'000'000), seconds(3600));
}

} // namespace

} // namespace imprint::test
