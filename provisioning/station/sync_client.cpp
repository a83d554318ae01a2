// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/sync_client.h"

#include "provisioning/server/tls.h"
#include "provisioning/server/tls_stream.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace imprint::station {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;

namespace {

constexpr std::chrono::seconds connecting{20};
constexpr std::chrono::seconds answering{60};

pki::Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

struct Location {
    std::string host, port;
};

Location parse(const std::string& address)
{
    const auto colon = address.rfind(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == address.size())
        throw Error(Reason::invalid_argument, "not the address of a station (host:port): " + address);
    Location location{address.substr(0, colon), address.substr(colon + 1)};
    if (location.host.front() == '[' && location.host.back() == ']')
        location.host = location.host.substr(1, location.host.size() - 2);
    return location;
}

class Client {
public:
    Client(const Credentials& credentials, const std::string& address)
        : location_(parse(address))
        , context_(server::client_context({credentials.tls, credentials.tls_key.get()},
                                          {credentials.trust, pki::Role::station_tls, location_.host},
                                          {std::string(protocol::sync_alpn)})
                       .release())
        , stream_(server::Stream(io_), context_)
    {
    }

    void run(SyncSender& sender, const SyncProgress& progress)
    {
        std::exception_ptr fault;
        asio::co_spawn(io_, converse(sender, progress), [&](const std::exception_ptr& thrown) { fault = thrown; });
        io_.run();
        if (fault)
            explain(fault);
    }

private:
    asio::awaitable<void> connect()
    {
        tcp::resolver resolver(io_);
        const tcp::resolver::results_type found =
            co_await resolver.async_resolve(location_.host, location_.port, asio::use_awaitable);
        auto& raw = beast::get_lowest_layer(stream_);
        boost::system::error_code error = asio::error::host_not_found;
        for (const auto& entry : found) {
            raw.expires_after(connecting);
            co_await raw.async_connect(asio::generic::stream_protocol::endpoint(entry.endpoint()),
                                       asio::redirect_error(asio::use_awaitable, error));
            if (!error)
                break;
            raw.close();
        }
        if (error)
            throw Error(Reason::connection_refused, location_.host + ": " + error.message());
        boost::system::error_code not_an_address;
        asio::ip::make_address(location_.host, not_an_address);
        if (not_an_address)
            SSL_ctrl(stream_.native_handle(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                     const_cast<char*>(location_.host.c_str())); // the macro for it casts the C way
        co_await stream_.async_handshake(asio::ssl::stream_base::client, asio::use_awaitable);
    }

    asio::awaitable<void> converse(SyncSender& sender, const SyncProgress& progress)
    {
        co_await connect();
        for (Bytes message = sender.next(); !message.empty(); message = sender.next()) {
            co_await server::write_message(stream_, message, answering, protocol::max_sync_message);
            const Result<Bytes> answer = co_await server::read_message(stream_, answering, protocol::max_sync_message);
            if (!answer)
                throw Error(answer.refusal());
            if (const auto verdict = sender.take(*answer, now()); !verdict)
                throw Error(verdict.refusal());
            progress(sender.total());
        }
        co_await server::leave(stream_);
    }

    [[noreturn]] void explain(const std::exception_ptr& fault)
    {
        try {
            std::rethrow_exception(fault);
        } catch (const boost::system::system_error& e) { // its what() has a place in Boost's source, too
            if (const auto refusal = server::peer_refusal(stream_.native_handle()))
                throw Error(refusal->reason, "the station's certificate: " + refusal->detail);
            throw Error(server::refusal_of(e.code()));
        }
    }

    Location location_;
    asio::io_context io_{1};
    asio::ssl::context context_;
    server::TlsStream stream_;
};

} // namespace

SyncTotal synchronize(Store& store, const Credentials& credentials, const std::string& address, bool dry_run,
                      const std::function<protocol::SyncRevocations()>& list, const SyncProgress& progress)
{
    SyncSender sender(store, dry_run, list);
    Client client(credentials, address);
    client.run(sender, progress);
    return sender.total();
}

} // namespace imprint::station
