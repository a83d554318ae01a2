// SPDX-License-Identifier: Apache-2.0
#include "provisioning/central/backend.h"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace imprint::central {

namespace asio = boost::asio;
namespace beast = boost::beast;
using boost::system::error_code;
using server::Stream;
using server::TlsStream;

namespace {

constexpr std::size_t chunk = 16 * 1024; // a TLS record

asio::awaitable<void> end_half(TlsStream& stream) { return server::close_half(stream); }

asio::awaitable<void> end_half(Stream& stream)
{
    stream.socket().shutdown(asio::socket_base::shutdown_send);
    co_return;
}

struct Relay {
    TlsStream& device;
    Stream& backend;
    std::chrono::steady_clock::duration idle;
    asio::steady_timer timer;
    std::chrono::steady_clock::time_point last_move = std::chrono::steady_clock::now();
    int open_directions = 2;
    Relayed result;

    void moved() { last_move = std::chrono::steady_clock::now(); }
    void give_up(const Refusal& why);
    template <class From, class To>
    asio::awaitable<void> pass_on(From& from, To& to, std::uint64_t& count);
    template <class From, class To>
    asio::awaitable<void> direction(From& from, To& to, std::uint64_t& count);
    asio::awaitable<void> watch();
};

// The first one's word stands; whatever is still going on fails at once. Neither side is told of a proper end, so that
// what was cut off does not look whole: no close_notify for the device, a reset for the backend.
void Relay::give_up(const Refusal& why)
{
    if (!result.broken)
        result.broken = why;
    error_code ignored;
    backend.socket().set_option(asio::socket_base::linger(true, 0), ignored);
    backend.close();
    beast::get_lowest_layer(device).close();
}

template <class From, class To>
asio::awaitable<void> Relay::pass_on(From& from, To& to, std::uint64_t& count)
{
    Bytes buffer(chunk);
    for (;;) {
        error_code error;
        const std::size_t size =
            co_await from.async_read_some(asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
        if (error == asio::error::eof)
            break;
        if (error)
            throw boost::system::system_error(error);
        moved();
        co_await asio::async_write(to, asio::buffer(buffer, size), asio::use_awaitable);
        count += size;
        moved();
    }
    co_await end_half(to);
    moved();
}

template <class From, class To>
asio::awaitable<void> Relay::direction(From& from, To& to, std::uint64_t& count)
{
    try {
        co_await pass_on(from, to, count);
    } catch (const boost::system::system_error& e) {
        give_up({Reason::connection_lost, e.code().message()});
    }
    if (--open_directions == 0)
        timer.cancel();
}

asio::awaitable<void> Relay::watch()
{
    while (open_directions > 0) {
        const auto end = last_move + idle;
        if (std::chrono::steady_clock::now() >= end) {
            give_up({Reason::timed_out, "nothing moved in time"});
            co_return;
        }
        error_code cancelled;
        timer.expires_at(end);
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
        if (cancelled)
            co_return;
    }
}

} // namespace

asio::awaitable<Relayed> relay(TlsStream& device, Stream& backend, BytesView header, std::chrono::seconds idle)
{
    using namespace asio::experimental::awaitable_operators;
    Relay both{.device = device, .backend = backend, .idle = idle, .timer = asio::steady_timer(device.get_executor())};
    beast::get_lowest_layer(device).expires_never();
    const Bytes first(header.begin(), header.end());
    backend.expires_after(idle);
    co_await asio::async_write(backend, asio::buffer(first), asio::use_awaitable);
    backend.expires_never();
    asio::awaitable<void> up = both.direction(device, backend, both.result.to_backend);
    asio::awaitable<void> down = both.direction(backend, device, both.result.to_device);
    asio::awaitable<void> watching = both.watch();
    asio::awaitable<void> all = std::move(up) && std::move(down) && std::move(watching);
    co_await std::move(all);
    co_return both.result;
}

} // namespace imprint::central
