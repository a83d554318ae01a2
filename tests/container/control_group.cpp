// SPDX-License-Identifier: Apache-2.0
#include "tests/container/control_group.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <iterator>
#include <fcntl.h>
#include <poll.h>
#include <sstream>
#include <stdexcept>
#include <sys/stat.h>
#include <unistd.h>

namespace imprint::test {

namespace {

namespace fs = std::filesystem;

const std::string prefix = "imprint-test-"; // then the test's process, then a number

struct Hierarchies {
    fs::path unified;
    std::vector<fs::path> all;
};

// mountinfo: "36 35 0:30 / /sys/fs/cgroup rw,... shared:9 - cgroup2 cgroup2 rw,..."
Hierarchies find_hierarchies()
{
    Hierarchies found;
    std::ifstream mounts("/proc/self/mountinfo");
    for (std::string line; std::getline(mounts, line);) {
        std::istringstream words(line);
        const std::vector<std::string> word(std::istream_iterator<std::string>{words}, {});
        const auto dash = std::ranges::find(word, "-");
        if (std::distance(dash, word.end()) < 4 || word[3] != "/")
            continue;
        if (dash[1] == "cgroup2")
            found.unified = word[4];
        else if (dash[1] != "cgroup" || ("," + dash[3] + ",").find(",name=systemd,") == std::string::npos)
            continue;
        found.all.emplace_back(word[4]);
    }
    if (found.unified.empty())
        throw std::runtime_error("this machine has no unified control group hierarchy, which systemd in a container "
                                 "needs: mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified");
    return found;
}

const Hierarchies& hierarchies()
{
    static const Hierarchies found = find_hierarchies();
    return found;
}

void wait_until_empty(const fs::path& group)
{
    const Fd events(::open((group / "cgroup.events").c_str(), O_RDONLY | O_CLOEXEC));
    constexpr int patience = 30'000; // milliseconds for each change
    std::array<char, 256> text{};
    for (;;) {
        const auto size = ::pread(events.get(), text.data(), text.size(), 0);
        if (size <= 0 ||
            std::string_view(text.data(), static_cast<std::size_t>(size)).find("populated 0") != std::string_view::npos)
            return;
        pollfd changed{events.get(), POLLPRI, 0};
        if (::poll(&changed, 1, patience) <= 0)
            return;
    }
}

void remove_tree(const fs::path& group)
{
    std::error_code ignored;
    std::vector<fs::path> found{group};
    for (const auto& entry : fs::recursive_directory_iterator(group, ignored))
        if (entry.is_directory(ignored))
            found.push_back(entry.path());
    std::ranges::sort(found, std::greater{}); // what is inside first
    for (const auto& directory : found)
        ::rmdir(directory.c_str());
}

void end_group(const std::string& name)
{
    const auto group = hierarchies().unified / name;
    if (fs::exists(group)) {
        std::ofstream(group / "cgroup.kill") << "1";
        wait_until_empty(group);
    }
    for (const auto& hierarchy : hierarchies().all)
        remove_tree(hierarchy / name);
    fs::remove("/run/systemd/nspawn/propagate/" + name); // which a killed nspawn leaves
}

// Groups whose test is no more.
void end_leftovers()
{
    for (const auto& entry : fs::directory_iterator(hierarchies().unified)) {
        const auto name = entry.path().filename().string();
        pid_t test = 0;
        if (name.starts_with(prefix) && (std::istringstream(name.substr(prefix.size())) >> test) &&
            ::kill(test, 0) != 0 && errno == ESRCH)
            end_group(name);
    }
}

std::string new_name()
{
    static std::atomic<unsigned> number = 0;
    return prefix + std::to_string(::getpid()) + "-" + std::to_string(++number);
}

} // namespace

ControlGroup::ControlGroup()
    : name_(new_name())
{
    end_leftovers();
    for (const auto& hierarchy : hierarchies().all)
        if (::mkdir((hierarchy / name_).c_str(), 0755) != 0)
            throw_errno("cannot make the control group " + (hierarchy / name_).string());
}

ControlGroup::~ControlGroup() { end_group(name_); }

Arguments ControlGroup::entering(const Arguments& command) const
{
    std::string script = "set -e\n";
    for (const auto& hierarchy : hierarchies().all)
        script += "echo $$ >" + (hierarchy / name_ / "cgroup.procs").string() + "\n";
    Arguments all{"sh", "-c", script + "exec \"$@\"", "sh"};
    all.insert(all.end(), command.begin(), command.end());
    return all;
}

} // namespace imprint::test
