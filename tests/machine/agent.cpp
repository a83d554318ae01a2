// SPDX-License-Identifier: Apache-2.0
#include "tests/machine/agent.h"

#include <array>
#include <poll.h>
#include <sstream>
#include <stdexcept>
#include <sys/socket.h>

namespace imprint::test {

namespace {

constexpr auto* ready = "ready\n";

} // namespace

GuestAgent::GuestAgent(Fd line, std::chrono::seconds limit)
    : line_(std::move(line))
{
    const auto deadline = Clock::now() + limit;
    while (pending_.find(ready) == std::string::npos)
        receive(deadline, -1);
    pending_.clear(); // with whatever was on the line before
}

std::optional<Finished> GuestAgent::run(const std::string& script, const std::string& input, std::chrono::seconds limit,
                                        int interruption)
{
    const auto deadline = Clock::now() + limit;
    start(script, input);
    for (;;) {
        if (auto finished = take_answer())
            return finished;
        if (!receive(deadline, interruption))
            return std::nullopt;
    }
}

void GuestAgent::start(const std::string& script, const std::string& input) const
{
    send(script + '\0' + std::to_string(input.size()) + '\n' + input);
}

std::optional<Finished> GuestAgent::take_answer()
{
    const auto end = pending_.find('\n');
    if (end == std::string::npos)
        return std::nullopt;
    std::istringstream head(pending_.substr(0, end));
    std::size_t out = 0;
    std::size_t err = 0;
    Finished finished;
    if (!(head >> finished.status >> out >> err))
        throw std::runtime_error("the guest's agent says " + pending_);
    const auto begin = end + 1;
    if (pending_.size() < begin + out + err)
        return std::nullopt;
    finished.out = pending_.substr(begin, out);
    finished.err = pending_.substr(begin + out, err);
    pending_.erase(0, begin + out + err);
    return finished;
}

void GuestAgent::send(const std::string& bytes) const
{
    for (std::size_t sent = 0; sent < bytes.size();) {
        const ssize_t n = ::send(line_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
        if (n <= 0)
            throw std::runtime_error("the line to the guest's agent is dead");
        sent += static_cast<std::size_t>(n);
    }
}

bool GuestAgent::receive(Clock::time_point deadline, int interruption)
{
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    std::array<pollfd, 2> waiting{{{line_.get(), POLLIN, 0}, {interruption, POLLIN, 0}}};
    if (left.count() <= 0 || poll(waiting.data(), waiting.size(), static_cast<int>(left.count())) == 0)
        throw std::runtime_error("the guest does not answer in time");
    if (waiting[0].revents == 0)
        return false;
    std::array<char, 65536> buffer{};
    const ssize_t n = recv(line_.get(), buffer.data(), buffer.size(), 0);
    if (n <= 0)
        throw std::runtime_error("the line to the guest's agent is dead");
    pending_.append(buffer.data(), static_cast<std::size_t>(n));
    return true;
}

} // namespace imprint::test
