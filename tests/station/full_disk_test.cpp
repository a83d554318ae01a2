// SPDX-License-Identifier: Apache-2.0
// A really full disk below the station: refused by its name before anything is acknowledged, and nothing is left of it.
#include "tests/station/running_station.h"
#include "tests/support/small_disk.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <gtest/gtest.h>

namespace imprint::test {

namespace {

class Attack34 : public ::testing::Test {
protected:
    Attack34()
    {
        station.trust(device);
        disk.emplace(station.state(), 4);
        station.start();
    }
    ~Attack34() override { station.kill(); }

    SQLite::Database database() const
    {
        return {(station.state() / "station.db").string(), SQLite::OPEN_READWRITE, 5000};
    }
    std::int64_t rows(const std::string& table) const
    {
        return database().execAndGet("SELECT count(*) FROM " + table).getInt64();
    }
    // To the last block, also of the write-ahead log, which has room of its own otherwise.
    void fill()
    {
        database().execAndGet("PRAGMA wal_checkpoint(TRUNCATE)");
        disk->fill();
    }
    static Reason reason_of(const protocol::Message& message)
    {
        return message.has_refused() ? protocol::refusal_of(message.refused()).reason : Reason::internal;
    }
    void personalize()
    {
        const auto stream = station.connect();
        DeviceSide side(device, stream->channel_binding());
        EXPECT_FALSE(personalize_over(*stream, side).empty());
    }

    TestPki pki;
    RunningStation station{pki};
    HonestDevice device;
    std::optional<SmallDisk> disk;
};

TEST_F(Attack34, NothingIsGrantedThatCannotBeWrittenDown)
{
    fill();
    for (int attempt = 0; attempt < 3; ++attempt) {
        const auto stream = station.connect();
        DeviceSide side(device, stream->channel_binding());
        const Bytes hello = side.send_hello(side.hello());
        const auto challenge = protocol::parse(send_and_receive(*stream, hello)).or_throw();
        const auto answer =
            challenge.has_refused() ? challenge : ask(*stream, side.proof(protocol::serialize(challenge)));
        EXPECT_EQ(reason_of(answer), Reason::storage_failed);
        EXPECT_EQ(rows("grants"), 0);
    }
    disk->make_room();
    personalize();
    EXPECT_EQ(rows("grants"), 1);
    EXPECT_EQ(rows("records"), 1);
}

TEST_F(Attack34, NoBackupIsAcknowledgedThatCannotBeKept)
{
    const auto stream = station.connect();
    DeviceSide side(device, stream->channel_binding());
    const auto challenge = protocol::parse(send_and_receive(*stream, side.send_hello(side.hello()))).or_throw();
    const auto grant = ask(*stream, side.proof(protocol::serialize(challenge)));
    ASSERT_TRUE(grant.has_grant());
    fill();
    EXPECT_EQ(reason_of(ask(*stream, side.backup(protocol::serialize(grant)))), Reason::storage_failed);
    EXPECT_EQ(rows("records"), 0);
    EXPECT_EQ(rows("outbox"), 0);
    EXPECT_EQ(rows("grants WHERE state = 'open'"), 1);

    disk->make_room();
    device.identity_certificate.clear(); // it got none that was confirmed
    personalize();
    EXPECT_EQ(rows("records"), 1);
    EXPECT_EQ(rows("outbox"), 1);
    EXPECT_EQ(rows("grants WHERE state = 'open'"), 0);
}

} // namespace

} // namespace imprint::test
