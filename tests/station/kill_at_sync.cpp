// SPDX-License-Identifier: Apache-2.0
// Preloaded into a program: kills it right before ($IMPRINT_KILL_BEFORE) or right after ($IMPRINT_KILL_AFTER) its N-th
// sync of a file, which is where commits become durable.
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <dlfcn.h>
#include <unistd.h>

namespace {

int number(const char* variable)
{
    const char* text = std::getenv(variable);
    return text == nullptr ? 0 : std::atoi(text);
}

int sync(const char* function, int fd)
{
    static std::atomic<int> done = 0;
    const int n = ++done;
    if (n == number("IMPRINT_KILL_BEFORE"))
        kill(getpid(), SIGKILL);
    const int result = reinterpret_cast<decltype(fsync)*>(dlsym(RTLD_NEXT, function))(fd);
    if (n == number("IMPRINT_KILL_AFTER"))
        kill(getpid(), SIGKILL);
    return result;
}

} // namespace

extern "C" {

int fsync(int fd) { return sync("fsync", fd); }

int fdatasync(int fd) { return sync("fdatasync", fd); }

} // extern "C"
