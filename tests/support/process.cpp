// SPDX-License-Identifier: Apache-2.0
#include "tests/support/process.h"

#include <array>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

extern "C" { // which glibc 2.36 forgets to say
#include <sys/pidfd.h>
}

namespace imprint::test {

namespace {

using Clock = std::chrono::steady_clock;

int milliseconds_until(Clock::time_point deadline)
{
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
}

std::pair<Fd, Fd> make_pipe()
{
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0)
        throw std::runtime_error("no pipe");
    return {Fd(ends[0]), Fd(ends[1])};
}

// argv or envp as posix_spawn wants them; borrows the strings.
std::vector<char*> pointers(std::vector<std::string>& strings)
{
    std::vector<char*> out;
    for (auto& string : strings)
        out.push_back(string.data());
    out.push_back(nullptr);
    return out;
}

std::vector<std::string> environment_with(const Environment& additions)
{
    std::vector<std::string> all;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        const auto replaced = std::ranges::any_of(
            additions, [&](const auto& addition) { return text.starts_with(addition.first + "="); });
        if (!replaced)
            all.emplace_back(text);
    }
    for (const auto& [name, value] : additions)
        all.push_back(name + "=" + value);
    return all;
}

struct Redirections {
    int in = -1, out = -1, err = -1;
    std::vector<int> extra;
};

pid_t spawn(const Arguments& arguments, const Environment& environment, const Redirections& redirections)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    for (const auto& [from, to] : {std::pair(redirections.in, 0), {redirections.out, 1}, {redirections.err, 2}})
        if (from >= 0)
            posix_spawn_file_actions_adddup2(&actions, from, to);
    // Duplicated onto itself a descriptor loses its close-on-exec flag in the child only.
    for (const int fd : redirections.extra)
        posix_spawn_file_actions_adddup2(&actions, fd, fd);
    auto argument_strings = arguments;
    auto environment_strings = environment_with(environment);
    pid_t pid = -1;
    const int failed = posix_spawnp(&pid, arguments.front().c_str(), &actions, nullptr,
                                    pointers(argument_strings).data(), pointers(environment_strings).data());
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0)
        throw std::runtime_error("cannot start " + arguments.front());
    return pid;
}

int code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

void write_and_close(Fd& fd, const std::string& text, std::size_t& written)
{
    const ssize_t n = write(fd.get(), text.data() + written, text.size() - written);
    if (n > 0)
        written += static_cast<std::size_t>(n);
    if (n < 0 || written == text.size())
        fd = Fd();
}

void drain(Fd& fd, std::string& into)
{
    std::array<char, 65536> buffer{};
    const ssize_t n = read(fd.get(), buffer.data(), buffer.size());
    if (n <= 0)
        fd = Fd();
    else
        into.append(buffer.data(), static_cast<std::size_t>(n));
}

} // namespace

Finished run(const Arguments& arguments, const std::string& input, const Environment& environment,
             std::chrono::seconds limit)
{
    auto [in_read, in_write] = make_pipe();
    auto [out_read, out_write] = make_pipe();
    auto [err_read, err_write] = make_pipe();
    const auto deadline = Clock::now() + limit;
    signal(SIGPIPE, SIG_IGN);
    const pid_t pid = spawn(arguments, environment, {in_read.get(), out_write.get(), err_write.get(), {}});
    in_read = Fd();
    out_write = Fd();
    err_write = Fd();

    Finished finished;
    std::size_t written = 0;
    while (in_write || out_read || err_read) {
        std::array<pollfd, 3> fds{
            {{in_write.get(), POLLOUT, 0}, {out_read.get(), POLLIN, 0}, {err_read.get(), POLLIN, 0}}};
        if (poll(fds.data(), fds.size(), milliseconds_until(deadline)) == 0) {
            kill(pid, SIGKILL);
            waitpid(pid, nullptr, 0);
            throw std::runtime_error(arguments.front() + " did not end in time: " + finished.out + finished.err);
        }
        if (fds[0].revents != 0)
            write_and_close(in_write, input, written);
        if (fds[1].revents != 0)
            drain(out_read, finished.out);
        if (fds[2].revents != 0)
            drain(err_read, finished.err);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    finished.status = code_of(status);
    return finished;
}

Process::Process(const Arguments& arguments, const Environment& environment, const std::filesystem::path& log,
                 const std::vector<int>& extra)
{
    auto [out_read, out_write] = make_pipe();
    Fd err;
    if (!log.empty())
        err = Fd(open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    const Fd nothing(open("/dev/null", O_RDONLY | O_CLOEXEC));
    pid_ = spawn(arguments, environment, {nothing.get(), out_write.get(), err.get(), extra});
    output_ = std::move(out_read);
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1))
    , status_(other.status_)
    , output_(std::move(other.output_))
    , pending_(std::move(other.pending_))
{
}

Process& Process::operator=(Process&& other) noexcept
{
    std::swap(pid_, other.pid_);
    std::swap(status_, other.status_);
    std::swap(output_, other.output_);
    std::swap(pending_, other.pending_);
    return *this;
}

Process::~Process()
{
    if (pid_ <= 0 || status_)
        return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
}

bool Process::running()
{
    int status = 0;
    if (!status_ && waitpid(pid_, &status, WNOHANG) == pid_)
        status_ = code_of(status);
    return !status_;
}

std::optional<std::string> Process::line_after(const std::string& prefix, std::chrono::seconds limit)
{
    const auto deadline = Clock::now() + limit;
    while (true) {
        for (auto end = pending_.find('\n'); end != std::string::npos; end = pending_.find('\n')) {
            const std::string line = pending_.substr(0, end);
            pending_.erase(0, end + 1);
            if (line.starts_with(prefix))
                return line.substr(prefix.size());
        }
        if (!output_)
            return std::nullopt;
        pollfd waiting{output_.get(), POLLIN, 0};
        if (poll(&waiting, 1, milliseconds_until(deadline)) == 0)
            throw std::runtime_error("no line '" + prefix + "' in time");
        drain(output_, pending_);
    }
}

void Process::signal(int number)
{
    if (running())
        kill(pid_, number);
}

int Process::wait(std::chrono::seconds limit)
{
    if (running()) {
        const Fd ended(pidfd_open(pid_, 0));
        pollfd waiting{ended.get(), POLLIN, 0};
        if (poll(&waiting, 1, static_cast<int>(std::chrono::milliseconds(limit).count())) == 0)
            throw std::runtime_error("a program did not end in time");
        running();
    }
    return status_.value_or(-1);
}

TemporaryDirectory::TemporaryDirectory()
{
    std::string name = (std::filesystem::temp_directory_path() / "imprint-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr)
        throw std::runtime_error("no temporary directory");
    path_ = name;
}

TemporaryDirectory::~TemporaryDirectory()
{
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

} // namespace imprint::test
