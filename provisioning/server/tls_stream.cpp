// SPDX-License-Identifier: Apache-2.0
#include "provisioning/server/tls_stream.h"

#include "provisioning/server/tls.h"

#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace imprint::server {

namespace asio = boost::asio;
namespace beast = boost::beast;

namespace {

constexpr std::chrono::seconds farewell{5}; // for the peer's close_notify

} // namespace

asio::awaitable<std::optional<Refusal>> accept_tls(TlsStream& stream, std::chrono::seconds limit)
{
    beast::get_lowest_layer(stream).expires_after(limit);
    boost::system::error_code error;
    co_await stream.async_handshake(asio::ssl::stream_base::server, asio::redirect_error(asio::use_awaitable, error));
    if (const auto refusal = peer_refusal(stream.native_handle()))
        co_return refusal;
    if (error == beast::error::timeout || error.category() == asio::error::get_ssl_category())
        co_return refusal_of(error);
    if (error)
        throw boost::system::system_error(error);
    co_return std::nullopt;
}

asio::awaitable<Result<Bytes>> read_message(TlsStream& stream, std::chrono::seconds limit, std::size_t max_size)
{
    beast::get_lowest_layer(stream).expires_after(limit);
    std::array<std::uint8_t, 4> header{};
    co_await asio::async_read(stream, asio::buffer(header), asio::use_awaitable);
    const auto length = protocol::announced_length(header, max_size);
    if (!length)
        co_return length.refusal();
    Bytes body(*length);
    co_await asio::async_read(stream, asio::buffer(body), asio::use_awaitable);
    co_return body;
}

asio::awaitable<void> write_message(TlsStream& stream, BytesView message, std::chrono::seconds limit,
                                    std::size_t max_size)
{
    beast::get_lowest_layer(stream).expires_after(limit);
    const Bytes framed = protocol::frame(message, max_size);
    co_await asio::async_write(stream, asio::buffer(framed), asio::use_awaitable);
}

asio::awaitable<void> close_half(TlsStream& stream)
{
    // The close_notify does not go through Asio's buffers, which no operation but a write would empty.
    BIO* farewell_bio = BIO_new(BIO_s_mem());
    if (farewell_bio == nullptr)
        throw openssl_error(Reason::internal, "cannot write to memory");
    SSL_set0_wbio(stream.native_handle(), farewell_bio);
    SSL_shutdown(stream.native_handle());
    char* data = nullptr;
    const long size = BIO_get_mem_data(farewell_bio, &data);
    const Bytes record(data, data + size);
    // Past Beast, too: a read that answers a key update may still be writing, and two writes are more than it takes.
    co_await asio::async_write(stream.next_layer().socket(), asio::buffer(record), asio::use_awaitable);
}

asio::awaitable<void> leave(TlsStream& stream)
{
    beast::get_lowest_layer(stream).expires_after(farewell);
    boost::system::error_code ignored;
    co_await stream.async_shutdown(asio::redirect_error(asio::use_awaitable, ignored));
}

Refusal refusal_of(const boost::system::error_code& error)
{
    if (error == beast::error::timeout)
        return {Reason::timed_out, "the peer sent nothing in time"};
    return {Reason::connection_lost, error.message()};
}

} // namespace imprint::server
