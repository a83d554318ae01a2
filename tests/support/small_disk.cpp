// SPDX-License-Identifier: Apache-2.0
#include "tests/support/small_disk.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

namespace imprint::test {

namespace fs = std::filesystem;

namespace {

// What is mounted from here on is gone with this process.
void leave_others_alone()
{
    static const bool left = [] {
        if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
            throw_errno("no mount namespace of one's own (not root?)");
        return true;
    }();
    static_cast<void>(left);
}

} // namespace

SmallDisk::SmallDisk(fs::path directory, unsigned mebibytes)
    : directory_(std::move(directory))
{
    leave_others_alone();
    const TemporaryDirectory made;
    struct stat before { };
    const std::string options = "mode=0700,size=" + std::to_string(mebibytes) + "m";
    if (stat(directory_.c_str(), &before) != 0 ||
        mount("tmpfs", made.path().c_str(), "tmpfs", MS_NODEV | MS_NOSUID, options.c_str()) != 0)
        throw_errno("cannot mount a small file system for " + directory_.string());
    fs::copy(directory_, made.path(), fs::copy_options::recursive);
    if (chown(made.path().c_str(), before.st_uid, before.st_gid) != 0 ||
        mount(made.path().c_str(), directory_.c_str(), nullptr, MS_MOVE, nullptr) != 0)
        throw_errno("cannot mount " + directory_.string());
}

SmallDisk::~SmallDisk() { umount2(directory_.c_str(), MNT_DETACH); }

void SmallDisk::fill()
{
    const Fd file(open(filler().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    const Bytes block(4096, 1);
    while (write(file.get(), block.data(), block.size()) > 0) { }
    if (errno != ENOSPC)
        throw_errno("cannot fill " + directory_.string());
}

void SmallDisk::make_room() { fs::remove(filler()); }

} // namespace imprint::test
