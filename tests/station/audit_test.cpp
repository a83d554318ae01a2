// SPDX-License-Identifier: Apache-2.0
// The audit log is append-only; old entries leave for a file, and nothing that somebody still waits for.
#include "daemon/base/file.h"
#include "provisioning/station/commands.h"
#include "tests/station/sync_fixture.h"
#include "tests/support/reason.h"

#include <nlohmann/json.hpp>

namespace imprint::test {
namespace {

using std::chrono::days;

class AuditLog : public Sync {
protected:
    AuditLog() { enter(store, 3); }

    // Entries of three, two and one year ago, and one of today.
    static void enter(station::Store& at, int years)
    {
        const auto today = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
        for (int i = years; i >= 0; --i)
            at.audit({.time = today - days(366 * i), .event = "refused", .detail = std::to_string(i)});
    }
    std::vector<std::string> left(station::Store& at)
    {
        std::vector<std::string> details;
        for (const auto& entry : at.audit_log())
            if (entry.event == "refused")
                details.push_back(entry.detail);
        return details;
    }
    using Details = std::vector<std::string>;
    std::filesystem::path file = directory / "old.json";
};

TEST_F(AuditLog, OldEntriesGoIntoANewFileAndOnlyThese)
{
    EXPECT_EQ(station::move_audit(store, file, days(700)), station::exit_ok);
    EXPECT_EQ(left(store), (Details{"1", "0"}));
    const auto content = read_file(file, 1 << 20).value();
    const auto moved = nlohmann::json::parse(content.begin(), content.end());
    ASSERT_EQ(moved.size(), 2U);
    EXPECT_EQ(moved[0]["detail"], "3");
    EXPECT_EQ(moved[1]["detail"], "2");
    EXPECT_EQ(store.audit_log().back().event, "audit-moved");

    EXPECT_EQ(station::move_audit(store, directory / "none.json", days(700)), station::exit_ok);
    EXPECT_FALSE(std::filesystem::exists(directory / "none.json")) << "nothing is that old any more";
    EXPECT_EQ(rows("audit_leaving"), 0);
}

TEST_F(AuditLog, NothingLeavesWithoutTheFile)
{
    write_file(file, Bytes{1}, 0600);
    EXPECT_EQ(reason_of([&] { station::move_audit(store, file, days(1)); }), Reason::invalid_argument);
    EXPECT_EQ(reason_of([&] { station::move_audit(store, directory / "none" / "old.json", days(1)); }),
              Reason::storage_failed);
    EXPECT_EQ(left(store), (Details{"3", "2", "1", "0"}));
    SQLite::Database raw(database(), SQLite::OPEN_READWRITE);
    EXPECT_THROW(raw.exec("DELETE FROM audit"), SQLite::Exception);
}

TEST_F(AuditLog, A33_WhatTheMainStationDoesNotHaveStays)
{
    const auto sent = sync().audit;
    EXPECT_EQ(sent, 4U);
    enter(store, 2);
    EXPECT_EQ(station::move_audit(store, file, days(1)), station::exit_ok);
    EXPECT_EQ(left(store), (Details{"0", "2", "1", "0"})) << "the last one that it has, and all behind it";
    EXPECT_EQ(sync().audit, 4U) << "these and the move, nothing twice";
    EXPECT_EQ(sync().missing(), 0U);
    EXPECT_TRUE(main.conflicts().empty());

    EXPECT_EQ(station::move_audit(main, directory / "main.json", days(1)), station::exit_ok);
    EXPECT_EQ(sync().missing(), 0U) << "the main station knows how far the unit is";
}

} // namespace
} // namespace imprint::test
