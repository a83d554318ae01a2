// SPDX-License-Identifier: Apache-2.0
#include "provisioning/server/listener.h"

#include "daemon/base/error.h"
#include "provisioning/server/handed_socket.h"
#include "provisioning/server/log.h"

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <charconv>
#include <map>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace imprint::server {

namespace asio = boost::asio;
using Protocol = asio::generic::stream_protocol;
using boost::system::error_code;

namespace {

constexpr std::string_view unix_prefix = "unix:";
constexpr std::string_view systemd_prefix = "systemd:";

std::string text_of(const asio::ip::tcp::endpoint& endpoint)
{
    const std::string host = endpoint.address().to_string();
    return (endpoint.address().is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(endpoint.port());
}

asio::ip::tcp::endpoint tcp_endpoint(const Protocol::endpoint& generic)
{
    asio::ip::tcp::endpoint endpoint;
    endpoint.resize(generic.size());
    std::memcpy(endpoint.data(), generic.data(), generic.size());
    return endpoint;
}

bool is_unix(const Protocol::endpoint& endpoint) { return endpoint.protocol().family() == AF_UNIX; }

std::string peer_of(Protocol::socket& socket)
{
    error_code error;
    const auto endpoint = socket.remote_endpoint(error);
    if (error)
        return "unknown";
    if (!is_unix(endpoint))
        return text_of(tcp_endpoint(endpoint));
    ucred credentials{};
    socklen_t size = sizeof credentials;
    if (getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
        return "unix";
    return "unix:uid=" + std::to_string(credentials.uid);
}

Protocol::endpoint resolve(const asio::any_io_executor& executor, const std::string& address)
{
    if (address.starts_with(unix_prefix))
        return asio::local::stream_protocol::endpoint(address.substr(unix_prefix.size()));
    const auto colon = address.rfind(':');
    if (colon == std::string::npos)
        throw Error(Reason::invalid_argument, "no port in the address \"" + address + "\"");
    std::string host = address.substr(0, colon);
    if (host.size() >= 2 && host.front() == '[' && host.back() == ']')
        host = host.substr(1, host.size() - 2);
    // The resolver would take a port above 65535 for another one.
    const std::string digits = address.substr(colon + 1);
    std::uint16_t port = 0;
    const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (fault != std::errc() || end != digits.data() + digits.size())
        throw Error(Reason::invalid_argument, "no port from 0 to 65535 in the address \"" + address + "\"");
    error_code error;
    const auto found = asio::ip::tcp::resolver(executor).resolve(host.empty() ? "::" : host, digits,
                                                                 asio::ip::resolver_base::passive, error);
    if (error || found.empty())
        throw Error(Reason::invalid_argument, "cannot resolve \"" + address + "\": " + error.message());
    return found.begin()->endpoint();
}

void remove_stale_socket(const std::string& path)
{
    struct stat info { };
    if (lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode))
        unlink(path.c_str());
}

using Acceptor = asio::basic_socket_acceptor<Protocol>;

void open(Acceptor& acceptor, const std::string& address)
{
    const auto endpoint = resolve(acceptor.get_executor(), address);
    if (is_unix(endpoint))
        remove_stale_socket(address.substr(unix_prefix.size()));
    acceptor.open(endpoint.protocol());
    acceptor.set_option(asio::socket_base::reuse_address(true));
    acceptor.bind(endpoint);
    acceptor.listen();
}

void take(Acceptor& acceptor, const std::string& name)
{
    Fd socket = handed_socket(name);
    sockaddr_storage own{};
    socklen_t size = sizeof own;
    if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&own), &size) != 0)
        throw_errno("the socket called \"" + name + '"');
    acceptor.assign(Protocol(own.ss_family, 0), socket.get());
    socket.release();
}

} // namespace

struct Listener::Impl : std::enable_shared_from_this<Impl> {
    asio::any_io_executor executor;
    Acceptor acceptor;
    asio::steady_timer slot; // never expires: cancelled when a connection ends
    std::size_t limit;
    std::size_t client_limit;
    std::size_t count = 0;
    std::map<std::string, std::size_t> counts; // of each client that has a connection
    Handler handler;
    std::function<void()> crowded;

    Impl(const asio::any_io_executor& on, std::size_t max_connections, std::size_t max_per_client)
        : executor(on)
        , acceptor(on)
        , slot(on, asio::steady_timer::time_point::max())
        , limit(max_connections)
        , client_limit(max_per_client)
    {
    }

    asio::awaitable<void> wait_for_slot();
    asio::awaitable<void> accept();
    void take(Protocol::socket socket);
    asio::awaitable<void> serve(Protocol::socket socket, std::string client);
    void left(const std::string& client);
};

std::string client_of(const asio::ip::address& address)
{
    const auto bytes = [](const auto& all, std::size_t size) {
        return std::string(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(size));
    };
    if (address.is_v4())
        return bytes(address.to_v4().to_bytes(), 4);
    const auto v6 = address.to_v6();
    return v6.is_v4_mapped() ? bytes(asio::ip::make_address_v4(asio::ip::v4_mapped, v6).to_bytes(), 4)
                             : bytes(v6.to_bytes(), 8);
}

namespace {

std::string client_of(const Protocol::socket& socket)
{
    error_code error;
    const auto endpoint = socket.remote_endpoint(error);
    return error || is_unix(endpoint) ? std::string() : server::client_of(tcp_endpoint(endpoint).address());
}

} // namespace

std::string client_of(Stream& stream) { return client_of(stream.socket()); }

asio::awaitable<void> handle(const Listener::Handler& handler, Stream stream, std::string peer)
{
    try {
        asio::awaitable<void> handling = handler(std::move(stream), peer);
        co_await std::move(handling);
    } catch (const boost::system::system_error& e) { // its what() has a place in Boost's source, too
        log(Priority::info, "connection ended", {{"PEER", peer}, {"DETAIL", e.code().message()}});
    } catch (const std::exception& e) {
        log(Priority::warning, "connection failed", {{"PEER", peer}, {"DETAIL", e.what()}});
    }
}

asio::awaitable<void> Listener::Impl::serve(Protocol::socket socket, std::string client)
{
    std::string peer = peer_of(socket);
    asio::awaitable<void> handling = handle(handler, Stream(std::move(socket)), std::move(peer));
    co_await std::move(handling);
    left(client);
}

void Listener::Impl::left(const std::string& client)
{
    --count;
    if (const auto found = counts.find(client); found != counts.end() && --found->second == 0)
        counts.erase(found);
    slot.cancel();
}

void Listener::Impl::take(Protocol::socket socket)
{
    std::string client = client_of(socket);
    if (!client.empty()) {
        std::size_t& connections = counts[client];
        if (connections >= client_limit)
            return;
        ++connections;
    }
    ++count;
    asio::co_spawn(
        executor,
        [self = shared_from_this(), s = std::move(socket), c = std::move(client)]() mutable {
            return self->serve(std::move(s), std::move(c));
        },
        [](const std::exception_ptr&) {});
}

asio::awaitable<void> Listener::Impl::wait_for_slot()
{
    error_code error;
    if (crowded) {
        co_await acceptor.async_wait(asio::socket_base::wait_read, asio::redirect_error(asio::use_awaitable, error));
        if (!acceptor.is_open() || count < limit)
            co_return;
        crowded();
    }
    co_await slot.async_wait(asio::redirect_error(asio::use_awaitable, error));
}

asio::awaitable<void> Listener::Impl::accept()
{
    const auto self = shared_from_this();
    while (acceptor.is_open()) {
        error_code error;
        if (count >= limit) {
            co_await wait_for_slot();
            continue;
        }
        Protocol::socket socket(executor);
        co_await acceptor.async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
        if (!acceptor.is_open())
            break;
        if (error) { // out of descriptors, say: a connection's end may free one
            log(Priority::warning, "cannot accept a connection", {{"DETAIL", error.message()}});
            asio::steady_timer pause(executor, std::chrono::milliseconds(100));
            co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
            continue;
        }
        take(std::move(socket));
    }
}

Listener::Listener(const asio::any_io_executor& executor, const std::string& address, std::size_t max_connections,
                   std::size_t max_per_client)
    : impl_(std::make_shared<Impl>(executor, max_connections, max_per_client))
{
    try {
        if (address.starts_with(systemd_prefix))
            take(impl_->acceptor, address.substr(systemd_prefix.size()));
        else
            open(impl_->acceptor, address);
    } catch (const boost::system::system_error& e) {
        throw Error(Reason::not_configured, "cannot listen on " + address + ": " + e.code().message());
    }
}

Listener::~Listener() { close(); }

std::string Listener::address() const
{
    const auto endpoint = impl_->acceptor.local_endpoint();
    if (!is_unix(endpoint))
        return text_of(tcp_endpoint(endpoint));
    asio::local::stream_protocol::endpoint local;
    local.resize(endpoint.size());
    std::memcpy(local.data(), endpoint.data(), endpoint.size());
    return std::string(unix_prefix) + local.path();
}

void Listener::start(Handler handler, std::function<void()> crowded)
{
    impl_->handler = std::move(handler);
    impl_->crowded = std::move(crowded);
    asio::co_spawn(
        impl_->executor, [self = impl_] { return self->accept(); }, [](const std::exception_ptr&) {});
}

void Listener::close()
{
    error_code ignored;
    impl_->acceptor.close(ignored);
    impl_->slot.cancel();
}

} // namespace imprint::server
