// SPDX-License-Identifier: Apache-2.0
// Sockets that systemd hands over, at a real server.
#include "tests/archive/running_archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace imprint::test {
namespace {

using testing::HasSubstr;

class HandedSockets : public testing::Test {
protected:
    HandedSockets() { std::filesystem::permissions(archive.directory.path(), std::filesystem::perms(0755)); }

    Arguments serve(const std::string& listen, const std::string& listen_tls) const
    {
        const auto& directory = archive.directory;
        return {IMPRINT_ARCHIVE,
                "--database",
                archive.url,
                "--trust",
                directory / "trust.pem",
                "serve",
                "--certificate",
                directory / "archive.pem",
                "--key",
                directory / "archive.key",
                "--listen",
                listen,
                "--listen-tls",
                listen_tls};
    }
    // With descriptor 3, and what systemd would tell of it; the server's error.
    Finished served(const std::string& redirection, const std::string& names) const
    {
        Arguments call{"sh", "-c",
                       "LISTEN_PID=$$ LISTEN_FDS=" + std::to_string(std::count(names.begin(), names.end(), ':') + 1) +
                           " LISTEN_FDNAMES=" + names + "; export LISTEN_PID LISTEN_FDS LISTEN_FDNAMES; exec \"$@\" " +
                           redirection,
                       "sh"};
        const auto server = serve("systemd:public", "127.0.0.1:0");
        call.insert(call.end(), server.begin(), server.end());
        return run(call);
    }
    RunningArchive archive;
};

TEST_F(HandedSockets, ServeAConnectionThatCameBeforeTheServer)
{
    const auto open = archive.directory / "public";
    const auto closed = archive.directory / "stations";
    Arguments call{"systemd-socket-activate", "--fdname=public:stations", "-l", open, "-l", closed};
    const auto server = serve("systemd:public", "systemd:stations");
    call.insert(call.end(), server.begin(), server.end());
    Process waiting(call, {}, archive.directory / "log");
    const auto asked = run({"curl", "-sS", "--retry", "50", "--retry-delay", "0", "--retry-all-errors", "--max-time",
                            "20", "-w", "%{http_code}", "-o", "/dev/null", "--unix-socket", open,
                            "http://archive/v1/records/" + std::string(64, '0')});
    EXPECT_EQ(asked.out, "404") << asked.err << to_string(read_file(archive.directory / "log", 65536).value());
    const auto at = waiting.line_after("listening http ");
    EXPECT_EQ(at, "unix:" + open.string());
    const auto second = waiting.line_after("listening https ");
    EXPECT_EQ(second, "unix:" + closed.string());
    waiting.signal(SIGTERM);
    EXPECT_EQ(waiting.wait(), 0);
    EXPECT_TRUE(std::filesystem::exists(open)) << "it is systemd's";
}

TEST_F(HandedSockets, AreMissedByName)
{
    const auto none = run(serve("systemd:public", "127.0.0.1:0"));
    EXPECT_NE(none.status, 0);
    EXPECT_THAT(none.err, HasSubstr("no socket called \"public\""));
    EXPECT_THAT(served("3</dev/null", "other").err, HasSubstr("no socket called \"public\""));
}

TEST_F(HandedSockets, AreToBeOneEach)
{
    EXPECT_THAT(served("3</dev/null 4</dev/null", "public:public").err, HasSubstr("2 sockets called \"public\""));
}

TEST_F(HandedSockets, AreToListen)
{
    const auto other = served("3</dev/null", "public");
    EXPECT_NE(other.status, 0);
    EXPECT_THAT(other.err, HasSubstr("\"public\" does not listen"));
}

} // namespace
} // namespace imprint::test
