// SPDX-License-Identifier: Apache-2.0
#include "tests/container/container.h"

#include "tests/container/layer.h"

#include <algorithm>
#include <csignal>
#include <stdexcept>

namespace imprint::test {

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr std::size_t file_limit = 1 << 24;

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

Container::Container(const std::vector<Bind>& binds, const Environment& environment, const fs::path& layer)
    : notifications_(directory_ / "notify")
{
    boot(binds, environment, layer);
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

void Container::boot(const std::vector<Bind>& binds, const Environment& inside, const fs::path& layer)
{
    fs::create_directory(overlay());
    Arguments command{IMPRINT_SOURCE "/tests/container/nspawn", overlay().string(),
                      (layer.empty() ? "" : layer.string() + ":") + package_layers(), group_.name(),
                      "--notify-ready=yes"};
    for (const auto& bind : binds)
        command.push_back("--bind=" + bind.outside.string() + ":" + bind.inside);
    for (const auto& [name, value] : inside)
        command.push_back("--setenv=" + name + "=" + value);
    command.emplace_back("--boot");
    const Environment environment{{"NOTIFY_SOCKET", (directory_ / "notify").string()}};
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
    throw std::runtime_error("systemd-nspawn did not boot a container (tests/container/possible tells whether it can "
                             "here): " +
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

// nspawn sees the overlay; from this machine's other programs it is hidden.
void Container::save(const fs::path& layer) const
{
    const auto written = "/proc/" + std::to_string(nspawn_->pid()) + "/root" + (overlay() / "written").string();
    const auto copied = test::run({"cp", "-a", written, layer.string()});
    if (copied.status != 0)
        throw std::runtime_error("cannot save a container's changes: " + copied.err);
}

fs::path Container::overlay() const { return directory_ / "overlay"; }

} // namespace imprint::test
