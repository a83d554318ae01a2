// SPDX-License-Identifier: Apache-2.0
// A device goes on with another chip: what the archive takes for it and what it refuses, with the real program.
#include "backup/archive/ownership.h"
#include "backup/package/replacement.h"
#include "provisioning/server/database.h"
#include "tests/archive/running_archive.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace imprint::archive {
namespace {

using test::SoftwareDevice;
constexpr auto path_of = [](const auto&... parts) { return test::RunningArchive::path_of(parts...); };

class Replacing : public testing::Test {
protected:
    void SetUp() override { archive.start(); }

    Bytes statement(const SoftwareDevice& former, const SoftwareDevice& present, const test::Certified& station) const
    {
        return package::make_replacement(
            {{"serial", former.serial}, former.chip, present.chip, test::now, "broken board"}, station.certificate,
            station.key.get(), {});
    }
    Bytes statement(const SoftwareDevice& former, const SoftwareDevice& present) const
    {
        return statement(former, present, archive.pki.station_signing);
    }
    test::Response replace(const std::string& present, BytesView bytes) const
    {
        return archive.put("/v1/replacements/" + present, bytes, &archive.pki.station_tls, {},
                           "application/vnd.imprint.replacement");
    }
    test::Response replace(const SoftwareDevice& former, const SoftwareDevice& present) const
    {
        return replace(present.chip, statement(former, present));
    }

    test::RunningArchive archive;
    SoftwareDevice first{archive.pki, "SN-1", std::string(64, '1')};
    SoftwareDevice second{archive.pki, "SN-1", std::string(64, '2')};
    SoftwareDevice third{archive.pki, "SN-1", std::string(64, '3')};
};

TEST_F(Replacing, B19_TheIdentityGoesOnWithTheNewChipAndBothRecordsStayReadable)
{
    const Bytes old_record = first.record(3), new_record = second.record(7);
    ASSERT_EQ(archive.put(first, 3, old_record).status, 201U);
    EXPECT_EQ(archive.put(second, 7, new_record).reason(), "identity-taken");

    const Bytes signed_by_station = statement(first, second);
    EXPECT_EQ(replace(second.chip, signed_by_station).status, 201U);
    EXPECT_EQ(archive.put(second, 7, new_record).status, 201U);
    EXPECT_EQ(archive.get(path_of(first.chip)).body, old_record);
    EXPECT_EQ(archive.get(path_of(second.chip)).body, new_record);
    EXPECT_EQ(archive.get("/v1/replacements/" + second.chip).body, signed_by_station);

    EXPECT_EQ(replace(second.chip, signed_by_station).status, 200U) << "as often as a station likes";
    EXPECT_EQ(archive.put(first, 3, old_record).status, 200U) << "it is there already";
}

TEST_F(Replacing, B26_NewRecordsOfTheFormerChipAreRefused)
{
    ASSERT_EQ(archive.put(first, 3, first.record(3)).status, 201U);
    ASSERT_EQ(replace(first, second).status, 201U);
    const auto answer = archive.put(first, 5, first.record(5));
    EXPECT_EQ(answer.status, 409U);
    EXPECT_EQ(answer.reason(), "chip-replaced");
    EXPECT_EQ(archive.get(path_of(first.chip, 5)).status, 404U);
}

TEST_F(Replacing, B19_AChipThatNeverHadARecordCanBeReplacedToo)
{
    EXPECT_EQ(replace(first, second).status, 201U);
    EXPECT_EQ(archive.put(first, 3, first.record(3)).reason(), "chip-replaced");
    EXPECT_EQ(archive.put(third, 3, third.record(3)).reason(), "identity-taken");
    EXPECT_EQ(archive.put(second, 3, second.record(3)).status, 201U);
}

TEST_F(Replacing, B19_AgainAndAgain)
{
    ASSERT_EQ(archive.put(first, 3, first.record(3)).status, 201U);
    ASSERT_EQ(replace(first, second).status, 201U);
    ASSERT_EQ(archive.put(second, 3, second.record(3)).status, 201U);
    ASSERT_EQ(replace(second, third).status, 201U);
    EXPECT_EQ(archive.put(second, 5, second.record(5)).reason(), "chip-replaced");
    EXPECT_EQ(archive.put(third, 3, third.record(3)).status, 201U);
}

TEST_F(Replacing, B26_ShowAndVerifyKnowIt)
{
    ASSERT_EQ(archive.put(first, 3, first.record(3)).status, 201U);
    ASSERT_EQ(replace(first, second).status, 201U);
    ASSERT_EQ(archive.put(second, 3, second.record(3)).status, 201U);
    const auto verified = archive.command({"verify", "--json"});
    EXPECT_EQ(verified.status, 0) << verified.out;
    EXPECT_EQ(nlohmann::json::parse(verified.out).at("replacements"), 1);
    const auto shown = nlohmann::json::parse(archive.command({"show", "--json", first.chip}).out);
    EXPECT_EQ(shown.at(0).at("replaced-by"), second.chip);
    EXPECT_NE(archive.command({"show", second.chip}).out.find("took the place of chip " + first.chip),
              std::string::npos);
}

TEST_F(Replacing, Attack05_AForgedOrUnsignedReplacementIsRefused)
{
    ASSERT_EQ(archive.put(first, 3, first.record(3)).status, 201U);
    const test::TestPki foreign;
    const auto narrow = archive.pki.ca(pki::Role::station_signing, "Narrow", test::valid, {{"serial", "SN-5", "SN-9"}});
    Bytes flipped = statement(first, second);
    flipped[flipped.size() / 2] ^= 1;
    const std::vector<std::pair<Bytes, std::string>> forged{
        {to_bytes("replacement"), "record-invalid"},
        {{}, "record-invalid"},
        {first.record(3), "record-invalid"},
        {statement(first, second, foreign.station_signing), "untrusted-certificate"},
        {statement(first, second, archive.pki.station_tls), "wrong-role"},
        {statement(first, second, narrow), "identity-out-of-scope"}};
    for (const auto& [bytes, reason] : forged) {
        const auto answer = replace(second.chip, bytes);
        EXPECT_EQ(answer.status, 422U) << reason;
        EXPECT_EQ(answer.reason(), reason);
    }
    EXPECT_EQ(replace(second.chip, flipped).status, 422U);
    EXPECT_EQ(replace(third.chip, statement(first, second)).reason(), "record-foreign");
    EXPECT_EQ(replace(second.chip, Bytes(package::max_replacement + 1, 0x30)).status, 413U);
    EXPECT_EQ(archive.put(second, 3, second.record(3)).reason(), "identity-taken");
    EXPECT_EQ(archive.get("/v1/replacements/" + second.chip).status, 404U);
}

TEST_F(Replacing, Attack05_OnlyStationsMayReplace)
{
    const Bytes bytes = statement(first, second);
    EXPECT_EQ(archive.put("/v1/replacements/" + second.chip, bytes, nullptr).status, 0U);
    EXPECT_EQ(archive.put("/v1/replacements/" + second.chip, bytes, &archive.pki.station_tls).status, 415U);
    EXPECT_EQ(archive.get("/v1/replacements/" + second.chip, {"-X", "PUT"}).status, 405U);
    EXPECT_EQ(archive.get("/v1/replacements/").status, 404U);
    EXPECT_EQ(archive.get("/v1/replacements/" + second.chip + "/1").status, 404U);
}

TEST_F(Replacing, Attack05_OneByARevokedStationIsRefused)
{
    ASSERT_EQ(archive.put(first, 3, first.record(3)).status, 201U);
    ASSERT_EQ(archive.stop(), 0);
    write_file(archive.directory / "revoked.pem", archive.pki.crl(archive.pki.station_signing.certificate).pem());
    archive.start({"--crl", archive.directory / "revoked.pem"});
    const auto answer = replace(first, second);
    EXPECT_EQ(answer.status, 422U);
    EXPECT_EQ(answer.reason(), "certificate-revoked");
}

TEST_F(Replacing, Attack05_NothingIsReplacedTwiceOrInACircle)
{
    ASSERT_EQ(archive.put(first, 3, first.record(3)).status, 201U);
    ASSERT_EQ(replace(first, second).status, 201U);
    EXPECT_EQ(replace(first, third).reason(), "chip-replaced");
    EXPECT_EQ(replace(second, first).reason(), "chip-replaced");
    ASSERT_EQ(replace(second, third).status, 201U);
    EXPECT_EQ(replace(third, first).reason(), "chip-replaced");
    EXPECT_EQ(replace(third, second).reason(), "chip-replaced");
}

TEST_F(Replacing, Attack05_NoChipTakesASecondIdentityAndNoneIsTakenFromAStranger)
{
    const SoftwareDevice other(archive.pki, "SN-2", std::string(64, '4'));
    const SoftwareDevice also_other(archive.pki, "SN-2", second.chip);
    ASSERT_EQ(archive.put(first, 3, first.record(3)).status, 201U);
    ASSERT_EQ(archive.put(other, 3, other.record(3)).status, 201U);
    EXPECT_EQ(replace(first, other).reason(), "identity-taken") << "it is SN-2";
    EXPECT_EQ(replace(second, third).reason(), "identity-taken") << "the second chip is not SN-1";
    EXPECT_EQ(replace(also_other, third).reason(), "identity-taken") << "nor SN-2";
    ASSERT_EQ(replace(first, second).status, 201U);
    EXPECT_EQ(replace(other, second).reason(), "identity-taken") << "it is to be SN-1";
    EXPECT_EQ(archive.put(also_other, 3, also_other.record(3)).reason(), "identity-taken");
}

TEST_F(Replacing, Attack35_ADatabaseOfTheFirstReleaseIsTakenOver)
{
    const Bytes record = first.record(3);
    ASSERT_EQ(archive.put(first, 3, record).status, 201U);
    ASSERT_EQ(archive.stop(), 0);
    // Back to what the first release had.
    SQLite::Database database(archive.database().string(), SQLite::OPEN_READWRITE);
    database.exec(R"(DROP TABLE replacements; DROP TRIGGER records_digest; DROP TABLE digests; PRAGMA user_version = 1;
        CREATE TABLE old (chip TEXT PRIMARY KEY NOT NULL CHECK (length(chip) = 64), kind TEXT NOT NULL,
          value TEXT NOT NULL, key_digest BLOB UNIQUE NOT NULL CHECK (length(key_digest) = 32),
          UNIQUE (kind, value)) STRICT, WITHOUT ROWID;
        INSERT INTO old SELECT * FROM identities; PRAGMA foreign_keys = OFF; DROP TABLE identities;
        ALTER TABLE old RENAME TO identities;)");
    archive.start();
    EXPECT_EQ(archive.get(path_of(first.chip)).body, record);
    EXPECT_EQ(archive.get(path_of(first.chip)).headers.at("etag"), '"' + hex(package::record_digest(record)) + '"');
    EXPECT_EQ(archive.put(second, 3, second.record(3)).reason(), "identity-taken");
    EXPECT_EQ(replace(first, second).status, 201U);
    EXPECT_EQ(archive.put(second, 3, second.record(3)).status, 201U);
    EXPECT_EQ(database.execAndGet("SELECT count(*) FROM pragma_foreign_key_check").getInt(), 0);
}

TEST_F(Replacing, Attack05_TheDatabaseItselfKeepsTheRules)
{
    ASSERT_EQ(archive.put(first, 3, first.record(3)).status, 201U);
    ASSERT_EQ(replace(first, second).status, 201U);
    ASSERT_EQ(archive.put(second, 3, second.record(3)).status, 201U);
    SQLite::Database database(archive.database().string(), SQLite::OPEN_READWRITE, 5000);
    const auto text = [](char digit) { return "'" + std::string(64, digit) + "'"; };
    for (const auto& statement : {"UPDATE replacements SET time = 0", "DELETE FROM replacements",
                                  "INSERT OR REPLACE INTO replacements SELECT * FROM replacements"})
        EXPECT_THROW(database.exec(statement), SQLite::Exception) << statement;
    for (const auto& pair : {text('2') + ", " + text('1'), text('1') + ", " + text('3'), text('3') + ", " + text('2')})
        EXPECT_THROW(database.exec("INSERT INTO replacements VALUES (" + pair + ", 'serial', 'SN-1', 0, x'')"),
                     SQLite::Exception)
            << pair;
    EXPECT_THROW(database.exec("INSERT INTO identities VALUES (" + text('3') + ", 'serial', 'SN-1', zeroblob(32))"),
                 SQLite::Exception);
}

} // namespace
} // namespace imprint::archive
