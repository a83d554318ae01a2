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

TEST(Containers, EachIsAsNew)
{
    const Container changed;
    changed.must("rm /usr/sbin/imprintd");
    const Container fresh;
    EXPECT_EQ(fresh.must("test -x /usr/sbin/imprintd"), "");
}

// The test program is killed: nothing of it can tidy up any more.
TEST(Containers, OneThatWasLeftBehindIsRemovedByTheNext)
{
    std::array<int, 2> booted{};
    ASSERT_EQ(pipe2(booted.data(), O_CLOEXEC), 0);
    const pid_t test = fork();
    if (test == 0) {
        const Container left;
        if (write(booted[1], "", 1) == 1)
            pause();
        _exit(1);
    }
    char told = 0;
    ASSERT_EQ(read(booted[0], &told, 1), 1);
    kill(test, SIGKILL);
    ASSERT_EQ(waitpid(test, nullptr, 0), test);

    const auto groups = "find /sys/fs/cgroup -name 'imprint-test-" + std::to_string(test) + "-*'";
    EXPECT_NE(run({"sh", "-c", groups}).out, "") << "the test proves nothing";
    const Container next;
    EXPECT_EQ(run({"sh", "-c", groups}).out, "");
    EXPECT_EQ(next.must("echo alive"), "alive\n");
}

} // namespace
} // namespace imprint::test
