// SPDX-License-Identifier: Apache-2.0
// The container itself: what it does to the machine that it runs on.
#include "tests/container/container.h"

#include <gtest/gtest.h>

#include <array>
#include <csignal>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace imprint::test {
namespace {

// The test program of the first is killed: nothing of it can tidy up any more.
TEST(Containers, EachIsAsNewAndRemovesWhatWasLeftBehind)
{
    std::array<int, 2> booted{};
    ASSERT_EQ(pipe2(booted.data(), O_CLOEXEC), 0);
    const pid_t test = fork();
    if (test == 0) {
        const Container left;
        left.must("rm /usr/sbin/imprintd");
        if (write(booted[1], "", 1) == 1)
            pause();
        _exit(1);
    }
    char told = 0;
    ASSERT_EQ(read(booted[0], &told, 1), 1);
    const Container beside;
    EXPECT_EQ(beside.must("test -x /usr/sbin/imprintd"), "");
    kill(test, SIGKILL);
    ASSERT_EQ(waitpid(test, nullptr, 0), test);

    const auto groups = "find /sys/fs/cgroup -name 'imprint-test-" + std::to_string(test) + "-*'";
    EXPECT_NE(run({"sh", "-c", groups}).out, "") << "the test proves nothing";
    const Container next;
    EXPECT_EQ(run({"sh", "-c", groups}).out, "");
    EXPECT_EQ(next.must("echo alive"), "alive\n");
}

// ./check asks this before it builds anything.
TEST(Containers, WhereTheyAreImpossibleThatIsToldInAMoment)
{
    const std::string possible = IMPRINT_SOURCE "/tests/container/possible";
    EXPECT_EQ(run({possible}).status, 0);
    const auto refused = run({"setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", possible});
    EXPECT_EQ(refused.status, 1);
    EXPECT_NE(refused.err.find("Operation not permitted"), std::string::npos) << refused.err;
    EXPECT_NE(refused.err.find("What to do: "), std::string::npos) << refused.err;
}

} // namespace
} // namespace imprint::test
