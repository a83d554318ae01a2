// SPDX-License-Identifier: Apache-2.0
#include "tests/machine/agent.h"

#include <nlohmann/json.hpp>

#include <openssl/evp.h>

#include <array>
#include <poll.h>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>

namespace imprint::test {

namespace {

using namespace std::chrono_literals;

constexpr auto patience = 120s; // for one answer, on a machine that is busy with other tests
constexpr auto pause = 20ms;
constexpr char sentinel = '\xff'; // ends whatever was on the line before

std::string to_base64(const std::string& text)
{
    std::string out(4 * ((text.size() + 2) / 3) + 1, '\0');
    const int size =
        EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                        reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
    out.resize(static_cast<std::size_t>(size));
    return out;
}

std::string from_base64(const std::string& text)
{
    std::string out(text.size(), '\0');
    const int size =
        EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                        reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
    if (size < 0)
        throw std::runtime_error("the guest agent's output is no base64");
    const auto padding = static_cast<std::size_t>(std::ranges::count(text, '='));
    out.resize(static_cast<std::size_t>(size) - padding);
    return out;
}

sockaddr_un address_of(const std::filesystem::path& path)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.native().size() >= sizeof address.sun_path)
        throw std::runtime_error("too long for a socket: " + path.native());
    std::ranges::copy(path.native(), address.sun_path);
    return address;
}

} // namespace

GuestAgent::GuestAgent(const std::filesystem::path& socket, std::chrono::seconds limit)
    : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))
{
    const auto deadline = Clock::now() + limit;
    const auto address = address_of(socket);
    const auto left = [&] { return Clock::now() < deadline; };
    bool connected = false;
    while (left() && !connected) {
        connected = connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
        if (!connected)
            std::this_thread::sleep_for(pause);
    }
    // Nothing tells when the agent listens, and what is said before is lost.
    for (unsigned number = 1; connected && left(); ++number)
        if (answers(number))
            return;
    throw std::runtime_error("the guest's agent does not answer");
}

bool GuestAgent::answers(unsigned number)
{
    const nlohmann::json sync{{"execute", "guest-sync-delimited"}, {"arguments", {{"id", number}}}};
    send(sentinel + sync.dump() + "\n");
    const auto deadline = Clock::now() + 500ms;
    while (const auto text = line(deadline)) {
        const auto begin = text->rfind(sentinel);
        const auto answer =
            nlohmann::json::parse(text->substr(begin == std::string::npos ? 0 : begin + 1), nullptr, false);
        if (answer.is_object() && answer.value("return", 0U) == number)
            return true;
    }
    return false;
}

std::int64_t GuestAgent::start(const std::string& script, const std::string& input)
{
    nlohmann::json arguments{{"path", "/bin/sh"},
                             {"arg", {"-c", script}},
                             {"env", {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/root"}},
                             {"capture-output", true}};
    if (!input.empty())
        arguments["input-data"] = to_base64(input);
    return call("guest-exec", arguments).at("pid");
}

std::optional<Finished> GuestAgent::ended(std::int64_t number)
{
    const auto status = call("guest-exec-status", {{"pid", number}});
    if (!status.at("exited").get<bool>())
        return std::nullopt;
    Finished finished;
    finished.status = status.contains("signal") ? 128 + status["signal"].get<int>() : status.value("exitcode", -1);
    finished.out = from_base64(status.value("out-data", ""));
    finished.err = from_base64(status.value("err-data", ""));
    return finished;
}

nlohmann::json GuestAgent::call(const std::string& command, const nlohmann::json& arguments)
{
    send(nlohmann::json{{"execute", command}, {"arguments", arguments}}.dump() + "\n");
    const auto text = line(Clock::now() + patience);
    if (!text)
        throw std::runtime_error("the guest's agent does not answer " + command);
    const auto answer = nlohmann::json::parse(*text);
    if (!answer.contains("return"))
        throw std::runtime_error(command + ": " + *text);
    return answer["return"];
}

void GuestAgent::send(const std::string& bytes) const
{
    for (std::size_t sent = 0; sent < bytes.size();) {
        const ssize_t n = ::send(socket_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
        if (n <= 0)
            throw std::runtime_error("the line to the guest's agent is dead");
        sent += static_cast<std::size_t>(n);
    }
}

std::optional<std::string> GuestAgent::line(Clock::time_point deadline)
{
    for (;;) {
        if (const auto end = pending_.find('\n'); end != std::string::npos) {
            auto found = pending_.substr(0, end);
            pending_.erase(0, end + 1);
            return found;
        }
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
        pollfd waiting{socket_.get(), POLLIN, 0};
        if (left.count() <= 0 || poll(&waiting, 1, static_cast<int>(left.count())) == 0)
            return std::nullopt;
        std::array<char, 65536> buffer{};
        const ssize_t n = recv(socket_.get(), buffer.data(), buffer.size(), 0);
        if (n <= 0)
            throw std::runtime_error("the line to the guest's agent is dead");
        pending_.append(buffer.data(), static_cast<std::size_t>(n));
    }
}

} // namespace imprint::test
