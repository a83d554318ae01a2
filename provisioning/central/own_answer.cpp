// SPDX-License-Identifier: Apache-2.0
#include "provisioning/central/own_answer.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <nlohmann/json.hpp>

namespace imprint::central {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Response = http::response<http::string_body>;

namespace {

constexpr std::uint32_t max_header = 8 * 1024;
constexpr std::size_t max_buffer = 16 * 1024;

std::string describe(const Peer& peer)
{
    const nlohmann::ordered_json about{{"identity-kind", peer.identity.kind},
                                       {"identity", peer.identity.value},
                                       {"chip", peer.chip},
                                       {"epoch", peer.epoch},
                                       {"authenticated-by", means_name(peer.means)}};
    return about.dump(2) + "\n";
}

Response answer(const http::request<http::empty_body>& request, const Peer& peer)
{
    const bool known_method = request.method() == http::verb::get || request.method() == http::verb::head;
    Response response;
    response.keep_alive(request.keep_alive());
    response.set(http::field::cache_control, "no-store");
    if (!known_method) {
        response.result(http::status::method_not_allowed);
        response.set(http::field::allow, "GET, HEAD");
    } else if (request.target() != "/") {
        response.result(http::status::not_found);
    } else {
        response.set(http::field::content_type, "application/json");
        response.body() = describe(peer);
    }
    response.prepare_payload();
    return response;
}

Response unreadable()
{
    Response response(http::status::bad_request, 11);
    response.keep_alive(false);
    response.prepare_payload();
    return response;
}

asio::awaitable<boost::system::error_code> write(server::TlsStream& stream, Response& response, bool head_only)
{
    boost::system::error_code error;
    http::response_serializer<http::string_body> serializer(response);
    if (head_only)
        co_await http::async_write_header(stream, serializer, asio::redirect_error(asio::use_awaitable, error));
    else
        co_await http::async_write(stream, serializer, asio::redirect_error(asio::use_awaitable, error));
    co_return error;
}

} // namespace

asio::awaitable<void> answer_itself(server::TlsStream& stream, const Peer& peer, std::chrono::seconds limit)
{
    beast::flat_buffer buffer(max_buffer);
    for (bool more = true; more;) {
        http::request_parser<http::empty_body> parser; // a body is an error
        parser.header_limit(max_header);
        beast::get_lowest_layer(stream).expires_after(limit);
        boost::system::error_code error;
        co_await http::async_read(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
        const bool not_http = error.category() == make_error_code(http::error::bad_method).category();
        if (error && (!not_http || error == http::error::end_of_stream || error == http::error::partial_message))
            co_return;
        Response response = error ? unreadable() : answer(parser.get(), peer);
        more = response.keep_alive();
        beast::get_lowest_layer(stream).expires_after(limit);
        error = co_await write(stream, response, parser.get().method() == http::verb::head);
        more = more && !error;
    }
}

} // namespace imprint::central
