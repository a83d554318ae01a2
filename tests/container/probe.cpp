// SPDX-License-Identifier: Apache-2.0
// probe NAME: tries one thing that a hardened service must not be able to do. Exit status 0 if it could, 1 if not, with
// the reason on standard output. hardening_test.cpp says which option of a unit stands against which.
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <functional>
#include <iostream>
#include <linux/keyctl.h>
#include <map>
#include <netinet/in.h>
#include <sched.h>
#include <string>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

constexpr key_t queue_key = 0x494d50;
constexpr key_t left_key = 0x494d51;
constexpr const char* key_name = "imprint-probe";

// What could not be seen, where nothing failed.
bool hidden()
{
    errno = ENOENT;
    return false;
}

bool opens(const char* path, int flags)
{
    const int fd = ::open(path, flags | O_CLOEXEC, 0600);
    return fd >= 0 && ::close(fd) == 0;
}

bool makes_socket(int family, int type)
{
    const int fd = ::socket(family, type | SOCK_CLOEXEC, 0);
    return fd >= 0 && ::close(fd) == 0;
}

// As root, and in the same mount namespace or another one: a process's view of its own and of the first process's.
bool shares_namespace(const std::string& kind)
{
    std::array<char, 64> own{}, first{};
    if (::readlink(("/proc/self/ns/" + kind).c_str(), own.data(), own.size() - 1) < 0 ||
        ::readlink(("/proc/1/ns/" + kind).c_str(), first.data(), first.size() - 1) < 0)
        return false;
    return std::strcmp(own.data(), first.data()) == 0 || hidden();
}

bool sees_owner()
{
    struct stat found { };
    constexpr uid_t overflow = 65534; // whom a user outside of the own namespace looks like
    return ::stat("/home/alice", &found) == 0 && (found.st_uid != overflow || hidden());
}

bool sees_group_readable_file()
{
    const int fd = ::open("/tmp/probe-mode", O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
    struct stat found { };
    const bool made = fd >= 0 && ::fstat(fd, &found) == 0;
    ::close(fd);
    ::unlink("/tmp/probe-mode");
    return made && ((found.st_mode & 0077) != 0 || hidden());
}

bool makes_setuid_file()
{
    const int fd = ::open("/tmp/probe-setuid", O_CREAT | O_WRONLY | O_CLOEXEC, 0700);
    if (fd < 0)
        return false;
    const bool made = ::fchmod(fd, 04755) == 0;
    const int why = errno;
    ::close(fd);
    ::unlink("/tmp/probe-setuid");
    errno = why;
    return made;
}

bool makes_control_group()
{
    return ::mkdir("/sys/fs/cgroup/probe", 0755) == 0 && ::rmdir("/sys/fs/cgroup/probe") == 0;
}

bool sets_own_hostname()
{
    std::array<char, 65> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 &&
        ::sethostname(name.data(), std::strlen(name.data())) == 0;
}

bool sends_to_loopback()
{
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(9);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && ::sendto(fd, "", 1, 0, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 1;
}

bool becomes_realtime()
{
    sched_param parameters{};
    parameters.sched_priority = 1;
    return ::sched_setscheduler(0, SCHED_RR, &parameters) == 0;
}

bool maps_writable_code()
{
    constexpr std::size_t page = 4096;
    return ::mmap(nullptr, page, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

bool may_dump_core()
{
    const rlimit limit{1, 1};
    return ::setrlimit(RLIMIT_CORE, &limit) == 0;
}

// The user's own keyring, through the session's.
bool finds_users_key()
{
    return ::syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", key_name, 0) >= 0;
}

bool makes_users_key()
{
    constexpr unsigned seconds = 600;
    const auto key = ::syscall(SYS_add_key, "user", key_name, "x", 1, KEY_SPEC_USER_KEYRING);
    return key >= 0 && ::syscall(SYS_keyctl, KEYCTL_SET_TIMEOUT, key, seconds) == 0;
}

// A system call of another architecture than the program's.
bool calls_as_another_architecture()
{
#ifdef __x86_64__
    long result = 20; // getpid of i386
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
    if (result > 0)
        return true;
    errno = static_cast<int>(-result);
    return false;
#else
    errno = ENOSYS;
    return false;
#endif
}

const std::map<std::string, std::function<bool()>> probes{
    {"write-usr", [] { return opens("/usr/probe", O_CREAT | O_WRONLY); }},
    {"read-home", [] { return ::opendir("/home/alice") != nullptr; }},
    {"see-tmp", [] { return opens("/tmp/probe-outside", O_RDONLY); }},
    {"see-owner", sees_owner},
    {"see-queue", [] { return ::msgget(queue_key, 0) >= 0; }},
    {"make-queue", [] { return ::msgget(queue_key, IPC_CREAT | 0666) >= 0; }},
    {"see-left-queue", [] { return ::msgget(left_key, 0) >= 0; }},
    {"leave-queue", [] { return ::msgget(left_key, IPC_CREAT | 0666) >= 0; }},
    {"share-mounts", [] { return shares_namespace("mnt"); }},
    {"share-network", [] { return shares_namespace("net"); }},
    {"see-processes", [] { return opens("/proc/1/status", O_RDONLY); }},
    {"see-kernel", [] { return opens("/proc/meminfo", O_RDONLY); }},
    {"make-control-group", makes_control_group},
    {"set-hostname", sets_own_hostname},
    {"set-personality", [] { return ::personality(PER_LINUX32) >= 0; }},
    {"map-writable-code", maps_writable_code},
    {"netlink", [] { return makes_socket(AF_NETLINK, SOCK_RAW); }},
    {"packet", [] { return makes_socket(AF_PACKET, SOCK_RAW); }},
    {"internet", [] { return makes_socket(AF_INET, SOCK_STREAM); }},
    {"send-to-loopback", sends_to_loopback},
    {"make-namespace", [] { return ::unshare(CLONE_NEWUTS) == 0; }},
    {"be-realtime", becomes_realtime},
    {"make-setuid-file", makes_setuid_file},
    {"be-root", [] { return ::geteuid() == 0 || hidden(); }},
    {"change-user", [] { return ::setuid(1) == 0; }},
    {"change-root", [] { return ::chroot("/") == 0; }},
    {"change-priority", [] { return ::setpriority(PRIO_PROCESS, 0, 1) == 0; }},
    {"open-device", [] { return opens("/dev/probe", O_WRONLY); }},
    {"dump-core", may_dump_core},
    {"find-key", finds_users_key},
    {"make-key", makes_users_key},
    {"make-open-file", sees_group_readable_file},
    {"other-architecture", calls_as_another_architecture},
};

} // namespace

int main(int count, char** arguments)
{
    const auto probe = count == 2 ? probes.find(arguments[1]) : probes.end();
    if (probe == probes.end()) {
        std::cerr << "no such probe\n";
        return 2;
    }
    errno = 0;
    if (probe->second())
        return 0;
    std::cout << "refused: " << std::strerror(errno) << "\n";
    return 1;
}
