// SPDX-License-Identifier: Apache-2.0
#include "tests/container/container.h"

#include "tests/support/built_packages.h"

#include <algorithm>
#include <csignal>
#include <stdexcept>
#include <unistd.h>

namespace imprint::test {

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr std::size_t file_limit = 1 << 24;

// Made by tests/support/root, which knows when it is up to date.
fs::path prepared_root()
{
    if (::geteuid() != 0)
        throw std::runtime_error("only root can boot a container: run this as root");
    const fs::path root = IMPRINT_TEST_IMAGES "/container";
    Arguments make{IMPRINT_SOURCE "/tests/support/root", root.string(), IMPRINT_SOURCE "/tests/support/root.packages"};
    for (const auto& package : built_packages())
        make.push_back(package.string());
    const auto made = run(make, {}, {}, 20min);
    if (made.status != 0)
        throw std::runtime_error("the container's root file system cannot be made: " + made.out + made.err);
    return root;
}

Arguments nspawn(const fs::path& root, const std::string& name)
{
    return {"systemd-nspawn",
            "--quiet",
            "--directory=" + root.string(),
            "--volatile=overlay",
            "--machine=" + name,
            "--register=no", // there may be no systemd on this machine
            "--keep-unit",
            "--private-network",
            "--console=read-only",
            "--system-call-filter=bpf @keyring @memlock", // for the units' device policy, keyrings and locked memory
            "--capability=CAP_BPF,CAP_PERFMON",
            "--drop-capability=CAP_MKNOD",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            "--notify-ready=yes"};
}

// A clean environment, and a person's or root's rights.
Arguments as_user(const std::string& user, const Arguments& command)
{
    Arguments all{"env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"};
    if (user != "root")
        all.insert(all.end(), {"setpriv", "--reuid=" + user, "--regid=" + user, "--init-groups"});
    all.insert(all.end(), command.begin(), command.end());
    return all;
}

} // namespace

Container::Container(const std::vector<Bind>& binds, const Environment& environment)
    : notifications_(directory_ / "notify")
{
    boot(binds, environment);
    wait_until_booted();
}

Container::~Container()
{
    // Then nspawn tidies up behind it by itself.
    if (!leader_.empty())
        ::kill(std::stoi(leader_), SIGKILL);
    try {
        nspawn_->wait(10s);
    } catch (const std::runtime_error&) {
        nspawn_.reset();
    }
}

void Container::boot(const std::vector<Bind>& binds, const Environment& inside)
{
    auto command = nspawn(prepared_root(), group_.name());
    for (const auto& bind : binds)
        command.push_back("--bind=" + bind.outside.string() + ":" + bind.inside);
    for (const auto& [name, value] : inside)
        command.push_back("--setenv=" + name + "=" + value);
    command.emplace_back("--boot");
    const Environment environment{{"NOTIFY_SOCKET", (directory_ / "notify").string()},
                                  {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1"},
                                  {"SYSTEMD_NSPAWN_LOCK", "0"}}; // nobody writes below the overlays
    nspawn_.emplace(group_.entering(command), environment, directory_ / "log");
}

void Container::wait_until_booted()
{
    const std::string leader = "X_NSPAWN_LEADER_PID=";
    const auto deadline = std::chrono::steady_clock::now() + 2min;
    while (nspawn_->running() && std::chrono::steady_clock::now() < deadline) {
        const auto message = notifications_.take(100ms).value_or("");
        if (const auto found = message.find(leader); found != std::string::npos)
            leader_ = message.substr(found + leader.size(), message.find('\n', found) - found - leader.size());
        if (("\n" + message + "\n").find("\nREADY=1\n") != std::string::npos)
            return;
    }
    throw std::runtime_error("systemd-nspawn cannot boot a container here; it needs root, CAP_SYS_ADMIN and a writable "
                             "control group hierarchy (a machine or a VM, no plain container): " +
                             to_string(read_file(directory_ / "log", file_limit).value_or(Bytes{})));
}

Arguments Container::inside(const Arguments& command, const std::string& user) const
{
    Arguments all{"nsenter", "--target", leader_, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"};
    const auto rest = as_user(user, command);
    all.insert(all.end(), rest.begin(), rest.end());
    return all;
}

Finished Container::run(const Arguments& command, const std::string& input, const std::string& user,
                        std::chrono::seconds limit) const
{
    return test::run(inside(command, user), input, {}, limit);
}

Process Container::start(const Arguments& command, const std::string& user, const fs::path& log) const
{
    return Process(inside(command, user), {}, log);
}

std::string Container::must(const std::string& script) const
{
    const auto finished = run({"sh", "-ec", script});
    if (finished.status != 0)
        throw std::runtime_error(script + ": " + finished.out + finished.err);
    return finished.out;
}

std::string Container::unexpanded(const std::string& text)
{
    std::string out;
    for (const char c : text)
        out += c == '$' ? std::string("$$") : std::string(1, c);
    return out;
}

fs::path Container::operator/(const std::string& inside) const { return "/proc/" + leader_ + "/root" + inside; }

void Container::write(const std::string& path, const std::string& text, mode_t mode) const
{
    fs::create_directories((*this / path).parent_path());
    write_file(*this / path, as_bytes(text), mode);
}

std::string Container::read(const std::string& path) const
{
    return to_string(read_file(*this / path, file_limit).value_or(Bytes{}));
}

} // namespace imprint::test
