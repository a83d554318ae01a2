// SPDX-License-Identifier: Apache-2.0
// Root's commands on the state of a service that runs as another user.
#include "tests/support/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

namespace imprint::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr uid_t service = 65534;
constexpr gid_t service_group = 65533;

class Owner : public testing::Test {
protected:
    Owner()
    {
        std::filesystem::permissions(directory.path(), std::filesystem::perms(0755));
        std::filesystem::create_directory(state);
        EXPECT_EQ(chown(state.c_str(), service, service_group), 0);
    }
    // Whatever in the state the service could not use.
    std::vector<std::string> foreign() const
    {
        std::vector<std::string> found;
        for (const auto& entry : std::filesystem::directory_iterator(state)) {
            struct stat info { };
            EXPECT_EQ(lstat(entry.path().c_str(), &info), 0);
            if (info.st_uid != service || info.st_gid != service_group)
                found.push_back(entry.path().filename());
        }
        return found;
    }
    Finished as_root(const char* program, const Arguments& command) const
    {
        Arguments call{program, "--state", state};
        call.insert(call.end(), command.begin(), command.end());
        return run(call);
    }
    Finished as_service(const char* program, const Arguments& command) const
    {
        Arguments call{"setpriv", "--reuid=65534", "--regid=65533", "--clear-groups", program, "--state", state};
        call.insert(call.end(), command.begin(), command.end());
        return run(call);
    }
    TemporaryDirectory directory;
    const std::filesystem::path state = directory / "state";
};

TEST_F(Owner, TheStationCanUseWhatRootMade)
{
    const auto made = as_root(IMPRINT_STATION, {"init"});
    ASSERT_EQ(made.status, 0) << made.err;
    EXPECT_THAT(foreign(), IsEmpty());
    write_file(directory / "keys", as_bytes(std::string(64, 'a') + ",first\n"), 0600);
    const auto imported = as_root(IMPRINT_STATION, {"ek", "import", directory / "keys"});
    EXPECT_EQ(imported.status, 0) << imported.err << " root reads its own files meanwhile";
    EXPECT_THAT(foreign(), IsEmpty());

    write_file(directory / "keys", as_bytes(std::string(64, 'b') + ",second\n"), 0644);
    const auto second = as_service(IMPRINT_STATION, {"ek", "import", directory / "keys"});
    EXPECT_EQ(second.status, 0) << second.err;
    const auto listed = as_service(IMPRINT_STATION, {"ek", "list"});
    EXPECT_THAT(listed.out, HasSubstr("first"));
    EXPECT_THAT(listed.out, HasSubstr("second"));
}

TEST_F(Owner, TheCentralSystemCanUseWhatRootMade)
{
    const auto made = as_root(IMPRINT_CENTRAL, {"init"});
    ASSERT_EQ(made.status, 0) << made.err;
    EXPECT_THAT(foreign(), IsEmpty());
    EXPECT_EQ(as_service(IMPRINT_CENTRAL, {"keys", "list"}).status, 0);
}

// As when root's command was killed: the side files stay for the service to go on with.
TEST_F(Owner, SqliteGivesRootsSideFilesAway)
{
    ASSERT_EQ(as_service(IMPRINT_STATION, {"init"}).status, 0);
    Process root({"python3", "-c",
                  "import signal, sqlite3, sys\n"
                  "database = sqlite3.connect(sys.argv[1])\n"
                  "database.execute('SELECT * FROM sqlite_schema').fetchall()\n"
                  "print('open', flush=True)\n"
                  "signal.pause()\n",
                  state / "station.db"});
    ASSERT_TRUE(root.line_after("open"));
    EXPECT_TRUE(std::filesystem::exists(state / "station.db-wal"));
    EXPECT_THAT(foreign(), IsEmpty());
}

// Copies of a lost station's files, put back by root.
TEST_F(Owner, RootsCopiesAreGivenToTheService)
{
    const TemporaryDirectory former;
    ASSERT_EQ(run({IMPRINT_STATION, "--state", former.path(), "init"}).status, 0);
    for (const auto* file : {"master.key", "station.db"})
        std::filesystem::copy_file(former / file, state / file);
    const auto key = read_file(state / "master.key", 64);
    EXPECT_EQ(foreign().size(), 2U);
    ASSERT_EQ(as_root(IMPRINT_STATION, {"init"}).status, 0);
    EXPECT_THAT(foreign(), IsEmpty());
    EXPECT_EQ(read_file(state / "master.key", 64), key);
    EXPECT_EQ(as_service(IMPRINT_STATION, {"ek", "list"}).status, 0);
}

// The service's user must not get root's files by linking them into its directory.
TEST_F(Owner, Attack24_WhatIsLinkedThereStaysRoots)
{
    write_file(directory / "secret", as_bytes("root's"));
    ASSERT_EQ(as_service(IMPRINT_STATION, {"init"}).status, 0);
    for (const bool symbolic : {false, true}) {
        std::filesystem::remove(state / "pool.key");
        if (symbolic)
            std::filesystem::create_symlink(directory / "secret", state / "pool.key");
        else
            std::filesystem::create_hard_link(directory / "secret", state / "pool.key");
        EXPECT_EQ(as_root(IMPRINT_STATION, {"init"}).status, 0);
        struct stat info { };
        EXPECT_EQ(stat((directory / "secret").c_str(), &info), 0);
        EXPECT_EQ(info.st_uid, 0U) << symbolic;
    }
}

} // namespace
} // namespace imprint::test
