// SPDX-License-Identifier: Apache-2.0
// Mirrors of the archive: made by the real program, served by a real nginx, and proved.
#include "provisioning/server/database.h"
#include "tests/archive/backends.h"
#include "tests/archive/mirroring.h"
#include "tests/archive/nginx.h"

#include <csignal>

namespace imprint::archive {
namespace {

namespace fs = std::filesystem;
using test::path_of;
using test::SoftwareDevice;

using test::Mirroring;

TEST_F(Mirroring, B1_ADirectoryServesTheSamePathsFromAnyWebServer)
{
    const auto planned = tell({"mirror", "--json", "--dry-run", target.string()});
    EXPECT_EQ(planned.summary.at("copied"), 6);
    EXPECT_FALSE(fs::exists(target));

    const auto made = mirror(target);
    EXPECT_EQ(made.status, 0) << made.summary;
    EXPECT_EQ(made.summary.at("copied"), 6);
    EXPECT_EQ(verify().status, 0) << verify().summary;
    const test::Nginx nginx(target);
    for (const auto& path : {path_of(device.chip), path_of(device.chip, 3), path_of(device.chip, 5),
                             path_of(present.chip), path_of(other.chip), "/v1/replacements/" + present.chip})
        EXPECT_EQ(nginx.get(path), std::pair(std::string("200"), archive.get(path).body)) << path;
    for (const auto& path : {path_of(std::string(64, 'b')), path_of(device.chip, 4), std::string("/v1/records/"),
                             "/receipts/" + device.chip + "/3"})
        EXPECT_EQ(nginx.get(path).first, "404") << path;
}

TEST_F(Mirroring, B1_OnlyWhatIsMissingIsCopiedAndTheNewestFollows)
{
    ASSERT_EQ(mirror(target).status, 0);
    EXPECT_EQ(mirror(target).summary.at("copied"), 0);
    ASSERT_EQ(archive.put(device, 7, device.record(7)).status, 201U);
    // Ended after the record was written, before it was the newest.
    ASSERT_EQ(mirror(target).summary.at("copied"), 1);
    fs::copy_file(file(device, "5"), file(device, "newest"), fs::copy_options::overwrite_existing);
    EXPECT_EQ(verify().faults(), "newest-unproven 7\n");
    EXPECT_EQ(mirror(target).summary.at("copied"), 0);
    EXPECT_EQ(read_file(file(device, "newest"), 1 << 20), read_file(file(device, "7"), 1 << 20));
    // A record of which only the receipt was written.
    fs::remove(file(device, "3"));
    EXPECT_EQ(mirror(target).summary.at("copied"), 1);
    EXPECT_EQ(verify().status, 0);
}

TEST_F(Mirroring, B1_AMirrorThatWasKilledGoesOn)
{
    // A record takes four syncs, so that steps of three come by each kind.
    for (int at = 1, status = -1; status != 0; at += 3) {
        fs::remove_all(target);
        const auto finished = test::run({IMPRINT_ARCHIVE, "--database", archive.database(), "--trust",
                                         archive.directory / "trust.pem", "mirror", "--jobs", "1", target},
                                        {},
                                        {{"LD_PRELOAD", KILL_AT},
                                         {"IMPRINT_KILL_AT", std::to_string(at)},
                                         {"ASAN_OPTIONS", "verify_asan_link_order=0"}});
        status = finished.status;
        ASSERT_TRUE(status == 0 || status == 128 + SIGKILL) << finished.err;
        ASSERT_FALSE(at == 1 && status == 0) << "nothing was killed";
        ASSERT_EQ(mirror(target).status, 0) << at;
        ASSERT_EQ(verify().status, 0) << at << verify().summary;
    }
}

class AnotherDatabase : public Mirroring, public testing::WithParamInterface<const char*> { };
INSTANTIATE_TEST_SUITE_P(All, AnotherDatabase, testing::Values("SQLite", "PostgreSQL"),
                         [](const auto& parameter) { return std::string(parameter.param); });

TEST_P(AnotherDatabase, B1_BecomesTheSameArchive)
{
    const test::TemporaryDirectory directory;
    const std::string copy = test::fresh_database(GetParam(), directory.path());
    const auto made = mirror(copy);
    EXPECT_EQ(made.status, 0) << made.summary;
    EXPECT_EQ(made.summary.at("copied"), 6);
    EXPECT_EQ(mirror(copy).summary.at("copied"), 0);
    const auto verified = test::run(
        {IMPRINT_ARCHIVE, "--database", copy, "--trust", archive.directory / "trust.pem", "verify", "--json"});
    EXPECT_EQ(verified.status, 0) << verified.out;
    EXPECT_EQ(nlohmann::json::parse(verified.out).at("records"), 5);
    EXPECT_EQ(nlohmann::json::parse(verified.out).at("replacements"), 1);
    // And back: what the copy's records and receipts prove is all that there was.
    const auto back = test::run(
        {IMPRINT_ARCHIVE, "--database", copy, "--trust", archive.directory / "trust.pem", "mirror", "--json", target});
    EXPECT_EQ(back.status, 0) << back.out << back.err;
    EXPECT_EQ(verify().status, 0) << verify().summary;
}

// Whoever can write to the database, and has a record of another chip for the identity.
TEST_F(Mirroring, B26_Attack05_AnIdentityWithTwoChipsAndNoReplacementIsNamed)
{
    ASSERT_EQ(mirror(target).status, 0);
    archive.stop();
    {
        SQLite::Database database(archive.database().string(), SQLite::OPEN_READWRITE);
        database.exec("DROP TRIGGER replacements_last; DELETE FROM replacements");
    }
    const auto without = tell({"verify", "--json"});
    EXPECT_EQ(without.status, 3);
    EXPECT_EQ(without.faults(), "identity-taken 0\nidentity-taken 0\n") << without.summary;

    const SoftwareDevice thief(archive.pki, "SN-1", std::string(64, 'b'));
    archive.url = archive.directory / "elsewhere.db";
    archive.start();
    ASSERT_EQ(archive.put(thief, 3, thief.record(3)).status, 201U);
    ASSERT_EQ(mirror(target).status, 0) << "plain files do not know better";
    const auto found = verify();
    EXPECT_EQ(found.status, 3);
    EXPECT_EQ(found.faults(), "identity-taken 0\nidentity-taken 0\n");
}

TEST_F(Mirroring, Attack20_WhatWasChangedDroppedOrSwappedInAMirrorIsNamed)
{
    ASSERT_EQ(mirror(target).status, 0);
    Bytes flipped = *read_file(file(device, "3"), 1 << 20);
    flipped.at(flipped.size() / 2) ^= 1;
    write_file(file(device, "3"), flipped);
    fs::remove(file(device, "5"));
    fs::copy_file(file(other, "3"), file(other, "5"), fs::copy_options::overwrite_existing);
    write_file(file(other, "5.new"), flipped);
    const auto found = verify();
    EXPECT_EQ(found.status, 3);
    EXPECT_NE(found.faults().find("record-not-found 5"), std::string::npos) << found.summary;
    EXPECT_NE(found.faults().find("record-foreign 5"), std::string::npos) << found.summary;
    EXPECT_NE(found.faults().find("invalid-argument 0"), std::string::npos) << found.summary;
    EXPECT_GE(found.summary.at("faulty").size(), 5U) << found.summary;

    // It brings back what is missing, tells what differs, and leaves that alone.
    const auto again = mirror(target);
    EXPECT_EQ(again.status, 3);
    EXPECT_EQ(again.summary.at("copied"), 1) << again.summary;
    EXPECT_EQ(again.summary.at("faulty").size(), 2U) << again.summary;
    EXPECT_EQ(read_file(file(device, "3"), 1 << 20), flipped);
}

} // namespace
} // namespace imprint::archive
