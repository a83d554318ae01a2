// SPDX-License-Identifier: Apache-2.0
#include "tests/device/file_faults.h"

#include <cerrno>
#include <cstdio>
#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

namespace imprint::test {

thread_local FileFault (*file_fault)() = nullptr;
thread_local int file_error = EIO;

namespace {

FileFault next_fault() { return file_fault == nullptr ? FileFault::none : file_fault(); }

// Sockets and pipes are no files.
bool is_file(int fd)
{
    struct stat info { };
    return fstat(fd, &info) == 0 && (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode));
}

template <class Function, class... Arguments>
auto call(const char* name, Arguments... arguments)
{
    return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name))(arguments...);
}

template <class Function, class... Arguments>
int change(const char* name, Arguments... arguments)
{
    const auto fault = next_fault();
    if (fault == FileFault::error) {
        errno = file_error;
        return -1;
    }
    const int result = call<Function>(name, arguments...);
    if (fault == FileFault::cut)
        _exit(cut_off);
    return result;
}

} // namespace

} // namespace imprint::test

extern "C" {

ssize_t write(int fd, const void* data, size_t size)
{
    using namespace imprint::test;
    const auto fault = file_fault != nullptr && is_file(fd) ? next_fault() : FileFault::none;
    if (fault == FileFault::error) {
        errno = file_error;
        return -1;
    }
    const auto result = call<decltype(write)>("write", fd, data, fault == FileFault::cut ? size / 2 : size);
    if (fault == FileFault::cut)
        _exit(cut_off);
    return result;
}

int fsync(int fd) { return imprint::test::change<decltype(fsync)>("fsync", fd); }

int rename(const char* from, const char* to) noexcept
{
    return imprint::test::change<decltype(rename)>("rename", from, to);
}

int unlink(const char* path) noexcept { return imprint::test::change<decltype(unlink)>("unlink", path); }

} // extern "C"
