// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/file.h"

#include "daemon/base/error.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace imprint {

namespace {

template <class Buffer>
std::optional<Buffer> read_into(const std::filesystem::path& path, std::size_t limit)
{
    const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd) {
        if (errno == ENOENT)
            return std::nullopt;
        throw_errno("cannot open " + path.string());
    }
    struct stat info { };
    if (fstat(fd.get(), &info) != 0)
        throw_errno("cannot examine " + path.string());
    if (!S_ISREG(info.st_mode))
        throw Error(Reason::storage_failed, path.string() + " is not a regular file");
    if (static_cast<std::uint64_t>(info.st_size) > limit)
        throw Error(Reason::storage_failed, path.string() + " is larger than " + std::to_string(limit) + " bytes");

    Buffer content(static_cast<std::size_t>(info.st_size));
    content.resize(read_until_end(fd.get(), {content.data(), content.size()}, path.string()));
    return content;
}

void write_all(int fd, BytesView content, const std::filesystem::path& path)
{
    while (!content.empty()) {
        const ssize_t n = write(fd, content.data(), content.size());
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            throw_errno("cannot write " + path.string());
        content = content.subspan(static_cast<std::size_t>(n));
    }
}

void write_durably(const std::filesystem::path& path, BytesView content, mode_t mode)
{
    const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode));
    if (!fd)
        throw_errno("cannot create " + path.string());
    if (fchmod(fd.get(), mode) != 0)
        throw_errno("cannot set the mode of " + path.string());
    write_all(fd.get(), content, path);
    if (fsync(fd.get()) != 0)
        throw_errno("cannot make " + path.string() + " durable");
}

} // namespace

Fd duplicate(int fd)
{
    Fd own(fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!own)
        throw_errno("cannot duplicate a descriptor");
    return own;
}

Fd::~Fd()
{
    if (fd_ >= 0)
        close(fd_);
}

void throw_errno(const std::string& context)
{
    throw Error(Reason::storage_failed, context + ": " + std::strerror(errno));
}

std::size_t read_until_end(int fd, std::span<std::uint8_t> into, const std::string& name)
{
    std::size_t filled = 0;
    while (filled < into.size()) {
        const ssize_t n = read(fd, into.data() + filled, into.size() - filled);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            throw_errno("cannot read " + name);
        if (n == 0)
            break;
        filled += static_cast<std::size_t>(n);
    }
    return filled;
}

std::optional<Bytes> read_file(const std::filesystem::path& path, std::size_t limit)
{
    return read_into<Bytes>(path, limit);
}

std::optional<Secret> read_secret_file(const std::filesystem::path& path, std::size_t limit)
{
    return read_into<Secret>(path, limit);
}

void write_file(const std::filesystem::path& path, BytesView content, mode_t mode)
{
    const auto fresh = std::filesystem::path(path.string() + ".new");
    try {
        write_durably(fresh, content, mode);
        if (rename(fresh.c_str(), path.c_str()) != 0)
            throw_errno("cannot replace " + path.string());
    } catch (const Error&) {
        unlink(fresh.c_str()); // it may hold a part of a secret
        throw;
    }
    sync_directory(path);
}

std::filesystem::path credential_path(const std::string& name)
{
    const char* directory = std::getenv("CREDENTIALS_DIRECTORY");
    if (directory == nullptr)
        throw Error(Reason::not_configured, "there are no credentials: $CREDENTIALS_DIRECTORY is not set");
    if (name.empty() || name.find('/') != std::string::npos || name.front() == '.')
        throw Error(Reason::invalid_argument, "not the name of a credential: " + name);
    return std::filesystem::path(directory) / name;
}

void sync_directory(const std::filesystem::path& path)
{
    const auto directory = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
    const Fd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd || fsync(fd.get()) != 0)
        throw_errno("cannot make the change of " + directory.string() + " durable");
}

void remove_file(const std::filesystem::path& path)
{
    if (unlink(path.c_str()) != 0) {
        if (errno == ENOENT)
            return;
        throw_errno("cannot remove " + path.string());
    }
    sync_directory(path);
}

} // namespace imprint
