// SPDX-License-Identifier: Apache-2.0
#include "daemon/tls/address.h"

#include "daemon/base/serial.h"
#include "daemon/tls/link.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <sys/un.h>

#include <charconv>
#include <cstring>
#include <future>
#include <system_error>
#include <thread>

namespace imprint::tls {

namespace {

constexpr std::string_view unix_prefix = "unix:";

[[noreturn]] void throw_not_an_address(const std::string& text)
{
    throw Error(Reason::invalid_argument,
                "not an address: \"" + text + "\" (host, host:port, [v6]:port, unix:/path or serial:/dev/NAME)");
}

std::optional<std::uint16_t> parse_port(std::string_view digits)
{
    std::uint16_t port = 0;
    const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (fault != std::errc() || end != digits.data() + digits.size() || port == 0)
        return std::nullopt;
    return port;
}

bool is_host(std::string_view host)
{
    constexpr std::size_t longest_name = 253; // RFC 1035
    const auto plain = [](char c) { return c > ' ' && c < 0x7f && c != '[' && c != ']' && c != '/'; };
    return !host.empty() && host.size() <= longest_name && std::ranges::all_of(host, plain);
}

Endpoint unix_endpoint(const std::string& path)
{
    Endpoint endpoint;
    auto& address = reinterpret_cast<sockaddr_un&>(endpoint.address);
    if (path.size() >= sizeof address.sun_path)
        throw Error(Reason::invalid_argument, "too long for a socket: " + path);
    address.sun_family = AF_UNIX;
    std::ranges::copy(path, address.sun_path);
    endpoint.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
    return endpoint;
}

// What the thread of a look-up and the one that waits for it share; whoever is last frees it.
struct LookingUp {
    std::packaged_task<Endpoints()> task;
    Cancel done; // an event: readable once the task has run
};

void run_aside(const std::shared_ptr<LookingUp>& state)
{
    try {
        std::thread([state] {
            state->task();
            state->done.cancel();
        }).detach();
    } catch (const std::system_error& error) {
        throw Error(Reason::internal, std::string("cannot start a look-up: ") + error.what());
    }
}

} // namespace

bool is_numeric(const std::string& host)
{
    in6_addr room{};
    return inet_pton(AF_INET, host.c_str(), &room) == 1 || inet_pton(AF_INET6, host.c_str(), &room) == 1;
}

Address parse_address(const std::string& text, std::uint16_t default_port)
{
    if (text.starts_with(unix_prefix)) {
        Address address{{}, 0, text.substr(unix_prefix.size())};
        if (!address.path.starts_with('/') || address.path.find('\0') != std::string::npos)
            throw_not_an_address(text);
        return address;
    }
    const bool bracketed = text.starts_with('[');
    const auto end = bracketed ? text.find(']') : text.find(':');
    const auto host = text.substr(bracketed, end - bracketed);
    const auto rest = end == std::string::npos ? std::string() : text.substr(end + bracketed);
    const auto port = rest.empty() ? default_port : rest.front() == ':' ? parse_port(rest.substr(1)) : std::nullopt;
    if (!is_host(host) || !port || (bracketed && (end == std::string::npos || host.find(':') == std::string::npos)))
        throw_not_an_address(text);
    return {host, *port, {}};
}

std::string host_of(const std::string& address)
{
    if (is_serial(address))
        return {};
    const auto host = parse_address(address, 1).host;
    return host.substr(0, host.find('%')); // without the zone of a link-local address
}

Endpoints look_up(const Address& address)
{
    addrinfo wanted{};
    wanted.ai_socktype = SOCK_STREAM;
    wanted.ai_flags = AI_NUMERICSERV;
    addrinfo* list = nullptr;
    const int fault = getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &wanted, &list);
    if (fault != 0)
        throw Error(Reason::connection_refused, "cannot find " + address.host + ": " + gai_strerror(fault));
    const Owned<addrinfo, freeaddrinfo> owned(list);
    Endpoints endpoints;
    for (const auto* one = list; one != nullptr; one = one->ai_next) {
        auto& endpoint = endpoints.emplace_back();
        std::memcpy(&endpoint.address, one->ai_addr, one->ai_addrlen);
        endpoint.size = one->ai_addrlen;
    }
    return endpoints;
}

Endpoints resolve(const Address& address, Deadline deadline, const Cancel& cancel, const LookUp& names)
{
    if (!address.path.empty())
        return {unix_endpoint(address.path)};
    if (is_numeric(address.host.substr(0, address.host.find('%'))))
        return look_up(address);
    const auto state = std::make_shared<LookingUp>();
    state->task = std::packaged_task<Endpoints()>([address, names] { return names(address); });
    auto found = state->task.get_future();
    run_aside(state);
    wait(state->done.fd(), POLLIN, deadline, cancel, "while looking up " + address.host);
    return found.get();
}

} // namespace imprint::tls
