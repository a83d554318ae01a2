// SPDX-License-Identifier: Apache-2.0
#include "provisioning/central/backend.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace imprint::central {

namespace asio = boost::asio;
namespace beast = boost::beast;
using Protocol = asio::generic::stream_protocol;

namespace {

constexpr std::string_view unix_prefix = "unix:";

std::vector<Protocol::endpoint> look_up(const asio::any_io_executor& executor, const std::string& address)
{
    if (address.starts_with(unix_prefix))
        return {asio::local::stream_protocol::endpoint(address.substr(unix_prefix.size()))};
    const auto colon = address.rfind(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == address.size())
        throw Error(Reason::invalid_argument, "no host and port in the address \"" + address + "\"");
    std::string host = address.substr(0, colon);
    if (host.front() == '[' && host.back() == ']')
        host = host.substr(1, host.size() - 2);
    boost::system::error_code error;
    const auto found = asio::ip::tcp::resolver(executor).resolve(host, address.substr(colon + 1), error);
    if (error || found.empty())
        throw Error(Reason::not_configured, "cannot resolve \"" + address + "\": " + error.message());
    std::vector<Protocol::endpoint> endpoints;
    for (const auto& entry : found)
        endpoints.emplace_back(entry.endpoint());
    return endpoints;
}

} // namespace

Backend::Backend(const asio::any_io_executor& executor, const std::string& address)
    : executor_(executor)
    , address_(address)
    , endpoints_(look_up(executor, address))
{
}

asio::awaitable<server::Stream> Backend::connect(std::chrono::seconds limit) const
{
    server::Stream stream(executor_);
    stream.expires_after(limit);
    for (std::size_t i = 0;; ++i) {
        boost::system::error_code error;
        co_await stream.async_connect(endpoints_[i], asio::redirect_error(asio::use_awaitable, error));
        if (!error)
            break;
        if (error == beast::error::timeout || i + 1 == endpoints_.size())
            throw boost::system::system_error(error);
        stream.close();
    }
    stream.expires_never();
    co_return stream;
}

} // namespace imprint::central
