// SPDX-License-Identifier: Apache-2.0
// Preloaded into a program: kills it right after its N-th write to a file or sync, N from $IMPRINT_KILL_AT.
#undef _FILE_OFFSET_BITS // which would make pwrite() another name of pwrite64()
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <dlfcn.h>
#include <sys/types.h>
#include <unistd.h>

namespace {

void count()
{
    static const int limit = [] {
        const char* text = std::getenv("IMPRINT_KILL_AT");
        return text == nullptr ? 0 : std::atoi(text);
    }();
    static std::atomic<int> done = 0;
    if (++done == limit)
        kill(getpid(), SIGKILL);
}

template <class Function, class... Arguments>
auto call(const char* name, Arguments... arguments)
{
    const auto result = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name))(arguments...);
    count();
    return result;
}

} // namespace

extern "C" {

ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset)
{
    return call<decltype(pwrite64)>("pwrite64", fd, data, size, offset);
}

int fsync(int fd) { return call<decltype(fsync)>("fsync", fd); }

int fdatasync(int fd) { return call<decltype(fdatasync)>("fdatasync", fd); }

int ftruncate64(int fd, off64_t size) noexcept { return call<decltype(ftruncate64)>("ftruncate64", fd, size); }

} // extern "C"
