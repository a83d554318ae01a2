// SPDX-License-Identifier: Apache-2.0
// What the archive does for stations and for the public, with the real program on each of its databases.
#include "backup/package/newest.h"
#include "backup/package/receipt.h"
#include "tests/archive/backends.h"
#include "tests/archive/running_archive.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace imprint::archive {
namespace {

using test::SoftwareDevice;
constexpr auto path_of = [](const auto&... parts) { return test::RunningArchive::path_of(parts...); };

class Archive : public testing::TestWithParam<const char*> {
protected:
    void SetUp() override
    {
        archive.url = test::fresh_database(GetParam(), archive.directory.path());
        archive.start();
    }
    Bytes by_station(const Bytes& device_record) const
    {
        const auto& station = archive.pki.station_signing;
        return package::countersign(device_record, station.certificate, station.key.get(), {});
    }

    test::RunningArchive archive;
    SoftwareDevice device{archive.pki, "SN-1"};
};
using B1 = Archive;
using B2 = Archive;
using Attack05 = Archive;
using Attack44 = Archive;
using Attack45 = Archive;

const auto databases = testing::Values("SQLite", "PostgreSQL");
const auto name_of = [](const auto& parameter) { return std::string(parameter.param); };
INSTANTIATE_TEST_SUITE_P(All, Archive, databases, name_of);
INSTANTIATE_TEST_SUITE_P(All, B1, databases, name_of);
INSTANTIATE_TEST_SUITE_P(All, B2, databases, name_of);
INSTANTIATE_TEST_SUITE_P(All, Attack05, databases, name_of);
INSTANTIATE_TEST_SUITE_P(All, Attack44, databases, name_of);
INSTANTIATE_TEST_SUITE_P(All, Attack45, databases, name_of);

TEST_P(B1, ARecordIsStoredWithItsChipIdentifierForEverybody)
{
    const Bytes record = device.record(3);
    const auto put = archive.put(device, 3, record);
    ASSERT_EQ(put.status, 201U) << to_string(put.body);
    EXPECT_EQ(put.headers.at("content-type"), "application/vnd.imprint.receipt");
    EXPECT_EQ(put.headers.at("location"), path_of(device.chip, 3));
    const auto receipt = package::open_receipt(put.body, archive.pki.trust(), test::now);
    ASSERT_TRUE(receipt) << receipt.refusal().detail;
    EXPECT_EQ(receipt->chip_identifier, device.chip);
    EXPECT_EQ(receipt->sequence, 3U);
    EXPECT_EQ(receipt->record_digest, package::record_digest(record));

    const auto newest = archive.get(path_of(device.chip));
    EXPECT_EQ(newest.status, 200U);
    EXPECT_EQ(newest.body, record);
    EXPECT_EQ(newest.headers.at("content-type"), "application/vnd.imprint.record");
    EXPECT_EQ(newest.headers.at("content-location"), path_of(device.chip, 3));
    EXPECT_EQ(newest.headers.at("cache-control"), "no-cache");

    const auto one = archive.get(path_of(device.chip, 3));
    EXPECT_EQ(one.body, record);
    EXPECT_NE(one.headers.at("cache-control").find("immutable"), std::string::npos);
}

TEST_P(Attack45, TheArchiveSignsWhichRecordIsTheNewest)
{
    const std::string nonce(64, '7');
    const auto question = "/v1/newest/" + device.chip + "?nonce=" + nonce;
    EXPECT_EQ(archive.get(question).status, 404U);
    ASSERT_EQ(archive.put(device, 5, device.record(5)).status, 201U);
    ASSERT_EQ(archive.put(device, 3, device.record(3)).status, 201U);
    const auto answer = archive.get(question);
    ASSERT_EQ(answer.status, 200U) << to_string(answer.body);
    EXPECT_EQ(answer.headers.at("content-type"), "application/vnd.imprint.newest");
    EXPECT_EQ(answer.headers.at("cache-control"), "no-store");
    const auto word = package::open_newest(answer.body, archive.pki.trust(), test::now, device.chip, *unhex(nonce));
    ASSERT_TRUE(word) << word.refusal().detail;
    EXPECT_EQ(word->sequence, 5U);
    EXPECT_EQ(word->record_digest, package::record_digest(archive.get(path_of(device.chip, 5)).body));

    const auto nothing = archive.get("/v1/nothing");
    for (const auto& target : {"/v1/newest/" + device.chip, "/v1/newest/" + device.chip + "?nonce=", question + "0",
                               question + "&x=1", "/v1/newest/" + device.chip + "?nonce=" + std::string(64, 'A'),
                               "/v1/newest/" + std::string(64, 'b') + "?nonce=" + nonce}) {
        EXPECT_EQ(archive.get(target).status, 404U) << target;
        EXPECT_EQ(archive.get(target).body, nothing.body) << target;
    }
}

TEST_P(B2, TheIdentityCertificateIsInTheDatabase)
{
    ASSERT_EQ(archive.put(device, 3, device.record(3)).status, 201U);
    const auto got = archive.get(path_of(device.chip));
    const auto record = package::open_record(got.body, archive.pki.trust(), std::nullopt);
    ASSERT_TRUE(record) << record.refusal().detail;
    EXPECT_EQ(record->identity, device.identity.certificate);

    const auto shown = archive.command({"show", "--json", device.chip});
    ASSERT_EQ(shown.status, 0) << shown.err;
    const auto entry = nlohmann::json::parse(shown.out).at(0);
    EXPECT_EQ(entry.at("identity"), "SN-1");
    EXPECT_EQ(entry.at("sequence"), 3);
    EXPECT_EQ(entry.at("sha256"), hex(package::record_digest(got.body)));
}

TEST_P(Archive, AnswersHeadAndConditionalRequests)
{
    const Bytes record = device.record(3);
    ASSERT_EQ(archive.put(device, 3, record).status, 201U);
    const auto head = archive.get(path_of(device.chip), {"-I"});
    EXPECT_EQ(head.status, 200U);
    EXPECT_EQ(head.headers.at("content-length"), std::to_string(record.size()));
    EXPECT_TRUE(head.body.empty() || head.body.size() < record.size());
    const std::string tag = head.headers.at("etag");
    EXPECT_EQ(tag, '"' + hex(package::record_digest(record)) + '"');
    EXPECT_EQ(archive.get(path_of(device.chip), {"-H", "If-None-Match: " + tag}).status, 304U);
    EXPECT_EQ(archive.get(path_of(device.chip), {"-H", "If-None-Match: \"other\", " + tag}).status, 304U);
    EXPECT_EQ(archive.get(path_of(device.chip), {"-H", "If-None-Match: \"other\""}).status, 200U);
}

TEST_P(Archive, TheSameBytesGetTheSameReceiptAndOthersAConflict)
{
    const Bytes record = device.record(3);
    const auto first = archive.put(device, 3, record);
    const auto again = archive.put(device, 3, record);
    EXPECT_EQ(first.status, 201U);
    EXPECT_EQ(again.status, 200U);
    EXPECT_EQ(again.body, first.body);

    const auto other = archive.put(device, 3, device.record(3));
    EXPECT_EQ(other.status, 409U);
    EXPECT_EQ(other.reason(), "sequence-taken");
    EXPECT_EQ(other.headers.at("content-type"), "application/problem+json");
    EXPECT_EQ(archive.get(path_of(device.chip, 3)).body, record);
}

TEST_P(Archive, SaysNothingAboutWhatIsNotThere)
{
    ASSERT_EQ(archive.put(device, 3, device.record(3)).status, 201U);
    const auto unknown_chip = archive.get(path_of(std::string(64, 'a')));
    EXPECT_EQ(unknown_chip.status, 404U);
    EXPECT_EQ(unknown_chip.reason(), "record-not-found");
    for (const auto& path : {path_of(device.chip, 5), path_of(device.chip) + "/03", path_of(device.chip) + "/+3",
                             path_of(device.chip) + "/", path_of(device.chip) + "?x", path_of("abc"),
                             path_of(device.chip) + "/99999999999999999999", std::string("/v1/records/"),
                             std::string("/v1/records"), std::string("/"), std::string("/metrics")}) {
        const auto answer = archive.get(path);
        EXPECT_EQ(answer.status, 404U) << path;
        EXPECT_EQ(answer.body, unknown_chip.body) << path;
    }
}

TEST_P(Archive, IsHealthyWhileItsDatabaseAnswers)
{
    EXPECT_EQ(archive.get("/healthz").status, 200U);
    EXPECT_EQ(archive.get("/healthz", {"-X", "POST"}).status, 405U);
}

TEST_P(Attack05, AnIdentityIsNotTakenOverByAnotherChip)
{
    ASSERT_EQ(archive.put(device, 3, device.record(3)).status, 201U);
    const SoftwareDevice thief(archive.pki, "SN-1", std::string(64, 'b'));
    const auto answer = archive.put(thief, 3, thief.record(3));
    EXPECT_EQ(answer.status, 409U);
    EXPECT_EQ(answer.reason(), "identity-taken");
    EXPECT_EQ(archive.get(path_of(thief.chip)).status, 404U);
}

TEST_P(Attack05, AChipKeepsItsIdentityAndItsIdentityKey)
{
    ASSERT_EQ(archive.put(device, 3, device.record(3)).status, 201U);
    const SoftwareDevice renamed(archive.pki, "SN-2", device.chip);
    const auto other_identity = archive.put(renamed, 5, renamed.record(5));
    EXPECT_EQ(other_identity.status, 409U);
    EXPECT_EQ(other_identity.reason(), "identity-taken");
    // As a stolen station with the identity CA's key would do it.
    const SoftwareDevice forged(archive.pki, "SN-1", device.chip);
    const auto other_key = archive.put(forged, 5, forged.record(5));
    EXPECT_EQ(other_key.status, 409U);
    EXPECT_EQ(other_key.reason(), "key-mismatch");
    EXPECT_EQ(archive.put(device, 5, device.record(5)).status, 201U);
}

TEST_P(Attack05, OfManyThatRaceForOneIdentityOneWins)
{
    constexpr int racers = 10;
    const test::TemporaryDirectory bodies;
    std::vector<std::string> chips;
    std::vector<test::Process> processes;
    for (int i = 0; i < racers; ++i) {
        chips.emplace_back(64, static_cast<char>('0' + i));
        const SoftwareDevice racer(archive.pki, "SN-race", chips.back());
        const auto body = bodies / std::to_string(i);
        write_file(body, racer.record(3));
        test::Arguments arguments{"curl", "-sS", "-o", "/dev/null"};
        const auto put = archive.put_command(path_of(racer.chip, 3), body, &archive.pki.station_tls);
        arguments.insert(arguments.end(), put.begin(), put.end());
        processes.emplace_back(arguments);
    }
    for (auto& process : processes)
        EXPECT_EQ(process.wait(), 0);
    EXPECT_EQ(std::ranges::count_if(chips, [&](const auto& chip) { return archive.get(path_of(chip)).status == 200; }),
              1);
}

TEST_P(Attack44, AStolenStationCannotPublishForADevice)
{
    const auto& station = archive.pki.station_signing;
    const auto content = device.record_content(3);
    const Bytes alone = package::make_record(content, station.certificate, station.key.get(), {});
    const auto second = archive.pki.ca(pki::Role::station_signing, "Station 2");
    const SoftwareDevice other(archive.pki, "SN-2");
    const Bytes foreign = package::make_record(content, other.identity.certificate, other.identity.key.get(), {});
    for (const Bytes& record : {alone, package::countersign(alone, second.certificate, second.key.get(), {}),
                                by_station(foreign), device.device_record(3), Bytes{}, to_bytes("record")}) {
        const auto answer = archive.put(device, 3, record);
        EXPECT_EQ(answer.status, 422U);
        EXPECT_FALSE(answer.reason().empty());
    }
    EXPECT_EQ(archive.get(path_of(device.chip)).status, 404U);
}

TEST_P(Attack45, ARecordStandsUnderItsOwnChipAndSequenceOnly)
{
    const Bytes record = device.record(3);
    const SoftwareDevice other(archive.pki, "SN-2");
    for (const auto& path : {path_of(device.chip, 5), path_of(other.chip, 3)}) {
        const auto answer = archive.put(path, record, &archive.pki.station_tls);
        EXPECT_EQ(answer.status, 422U);
        EXPECT_EQ(answer.reason(), "record-foreign");
    }
}

TEST_P(Attack45, TheNewestIsTheHighestSequenceWhateverCameLast)
{
    const Bytes five = device.record(5), three = device.record(3);
    ASSERT_EQ(archive.put(device, 5, five).status, 201U);
    ASSERT_EQ(archive.put(device, 3, three).status, 201U);
    EXPECT_EQ(archive.get(path_of(device.chip)).body, five);
    EXPECT_EQ(archive.get(path_of(device.chip, 3)).body, three);
}

} // namespace
} // namespace imprint::archive
