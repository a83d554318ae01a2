// SPDX-License-Identifier: Apache-2.0
#include "provisioning/server/bridge.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace imprint::server {

namespace asio = boost::asio;
using boost::system::error_code;
using Socket = asio::generic::stream_protocol::socket;

namespace {

constexpr std::chrono::seconds stuck{10}; // a line that takes no byte in this time takes none any more

} // namespace

void RecordWatch::feed(BytesView data)
{
    while (!data.empty()) {
        if (left_ > 0) {
            const std::size_t part = std::min(left_, data.size());
            left_ -= part;
            data = data.subspan(part);
            continue;
        }
        header_[header_size_++] = data.front();
        data = data.subspan(1);
        if (header_size_ == header_.size()) {
            left_ = static_cast<std::size_t>(header_[3] << 8U | header_[4]);
            header_size_ = 0;
        }
    }
}

Patience::Patience(Descriptor& descriptor)
    : descriptor_(descriptor)
    , timer_(descriptor.get_executor())
{
}

void Patience::start(std::chrono::milliseconds limit)
{
    running_ = std::make_shared<bool>(true);
    timer_.expires_after(limit);
    timer_.async_wait([running = running_, &descriptor = descriptor_](const error_code& stopped) {
        if (!stopped && *running)
            descriptor.cancel();
    });
}

void Patience::stop()
{
    if (running_)
        *running_ = false;
    timer_.cancel();
}

Bridge::Bridge(Descriptor& in, Descriptor& out, std::optional<std::chrono::milliseconds> pause)
    : in_(in)
    , out_(out)
    , pause_(pause)
    , ours_(in.get_executor())
    , ended_(in.get_executor(), asio::steady_timer::time_point::max())
{
}

asio::awaitable<void> Bridge::inbound()
{
    const auto self = shared_from_this();
    std::array<std::uint8_t, 4096> buffer{};
    RecordWatch record;
    Patience patience(in_);
    error_code error;
    while (!error) {
        if (pause_ && record.inside())
            patience.start(*pause_);
        const std::size_t size =
            co_await in_.async_read_some(asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
        patience.stop();
        if (error)
            break;
        record.feed({buffer.data(), size});
        co_await asio::async_write(ours_, asio::buffer(buffer, size), asio::redirect_error(asio::use_awaitable, error));
    }
    ours_.shutdown(Socket::shutdown_send, error); // the handler sees the end of its peer
    inbound_ended_ = true;
    ended_.cancel();
}

asio::awaitable<bool> Bridge::write_out(BytesView data)
{
    Patience patience(out_);
    error_code error;
    while (!data.empty() && !error) {
        patience.start(stuck);
        const std::size_t size = co_await out_.async_write_some(asio::buffer(data.data(), data.size()),
                                                                asio::redirect_error(asio::use_awaitable, error));
        patience.stop();
        data = data.subspan(size);
    }
    co_return !error;
}

asio::awaitable<void> Bridge::outbound()
{
    std::array<std::uint8_t, 4096> buffer{};
    for (bool broken = false;;) {
        error_code error;
        const std::size_t size =
            co_await ours_.async_read_some(asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
        if (error)
            co_return; // the handler has left, and everything that it said was read
        if (broken)
            continue;
        const bool written = co_await write_out({buffer.data(), size});
        broken = !written;
        if (broken)
            in_.cancel();
    }
}

asio::awaitable<void> Bridge::run(const Listener::Handler& handler, std::string peer)
{
    const auto executor = in_.get_executor();
    asio::local::stream_protocol::socket ours(executor), theirs(executor);
    asio::local::connect_pair(ours, theirs);
    ours_ = std::move(ours);
    asio::awaitable<void> handling = handle(handler, Stream(Socket(std::move(theirs))), std::move(peer));
    asio::co_spawn(executor, std::move(handling), asio::detached);
    asio::co_spawn(executor, inbound(), asio::detached);
    co_await outbound();
    error_code ignored;
    in_.cancel(ignored);
    ours_.close(ignored); // a write into it would wait for nobody
    if (!inbound_ended_)
        co_await ended_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

} // namespace imprint::server
