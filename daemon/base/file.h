// SPDX-License-Identifier: Apache-2.0
// Files: read with a limit, written whole or not at all.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/secret.h"

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace imprint {

// Owns a file descriptor.
class Fd {
public:
    Fd() = default;
    explicit Fd(int fd) noexcept
        : fd_(fd)
    {
    }
    Fd(Fd&& other) noexcept
        : fd_(std::exchange(other.fd_, -1))
    {
    }
    Fd& operator=(Fd&& other) noexcept
    {
        std::swap(fd_, other.fd_);
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd();

    int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }
    int release() noexcept { return std::exchange(fd_, -1); }

private:
    int fd_ = -1;
};

// A second descriptor of the same open file. Throws Error(storage_failed).
Fd duplicate(int fd);

// "<context>: <strerror(errno)>" as Error(storage_failed).
[[noreturn]] void throw_errno(const std::string& context);

// Reads until the end or until `into` is full; how many bytes. `name` is for the Error(storage_failed).
std::size_t read_until_end(int fd, std::span<std::uint8_t> into, const std::string& name);

// The whole of a regular file, at most `limit` bytes; nothing if it does not exist.
// Symlinks at the last step are not followed. Throws Error(storage_failed).
std::optional<Bytes> read_file(const std::filesystem::path& path, std::size_t limit);
std::optional<Secret> read_secret_file(const std::filesystem::path& path, std::size_t limit);

// Where systemd puts the credential of this name for a service (systemd.exec(5), $CREDENTIALS_DIRECTORY).
// Throws Error(not_configured) if there are none, Error(invalid_argument) for what is no name of one.
std::filesystem::path credential_path(const std::string& name);

// Replaces the file in one step and returns when it is durable (write-new, fsync, rename, fsync of the directory).
// A crash leaves the old file or the new one. Throws Error(storage_failed) with the old file in place.
void write_file(const std::filesystem::path& path, BytesView content, mode_t mode = 0600);

// Makes durable what was made, renamed or removed under this path: fsync of the directory that it is in.
// Throws Error(storage_failed).
void sync_directory(const std::filesystem::path& path);

// Removes the file durably; it is no error if there is none.
void remove_file(const std::filesystem::path& path);

} // namespace imprint
