// SPDX-License-Identifier: Apache-2.0
#include "provisioning/server/line.h"

#include "daemon/base/error.h"
#include "daemon/base/serial.h"
#include "provisioning/server/bridge.h"
#include "provisioning/server/log.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <sys/ioctl.h>
#include <termios.h>

namespace imprint::server {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr std::chrono::seconds pause_in_record{2};
constexpr std::chrono::milliseconds quiet{250}; // shorter than a device waits before it begins
constexpr std::chrono::seconds flushing{2};
constexpr std::chrono::milliseconds look_again{20};
constexpr std::chrono::seconds reopening{1};

} // namespace

struct SerialListener::Impl : std::enable_shared_from_this<Impl> {
    SerialAddress address;
    std::string name;
    Descriptor in, out;
    asio::steady_timer timer;
    Listener::Handler handler;
    bool waiting = false; // nobody talks
    bool closed = false;

    Impl(const asio::any_io_executor& executor, const std::string& text)
        : address(parse_serial(text))
        , name(text)
        , in(executor)
        , out(executor)
        , timer(executor)
    {
        open();
    }

    void open();
    asio::awaitable<void> run();
    asio::awaitable<bool> begins();
    asio::awaitable<void> get_out();
    asio::awaitable<bool> fall_silent();
    asio::awaitable<void> reopen();
    asio::awaitable<void> pause(std::chrono::milliseconds time);
};

// Two descriptors, so that reads and writes can be given up apart.
void SerialListener::Impl::open()
{
    Fd line = open_serial(address);
    Fd other = duplicate(line.get());
    in.assign(line.release());
    out.assign(other.release());
}

asio::awaitable<void> SerialListener::Impl::pause(std::chrono::milliseconds time)
{
    error_code ignored;
    timer.expires_after(time);
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

// False: the line has hung up.
asio::awaitable<bool> SerialListener::Impl::begins()
{
    error_code error;
    waiting = true;
    co_await in.async_wait(Descriptor::wait_read, asio::redirect_error(asio::use_awaitable, error));
    waiting = false;
    int arrived = 0;
    co_return !error && ioctl(in.native_handle(), FIONREAD, &arrived) == 0 && arrived > 0;
}

// The last words tell the device why; a line that does not take them loses them.
asio::awaitable<void> SerialListener::Impl::get_out()
{
    int left = 0;
    for (auto waited = look_again; waited < flushing; waited += look_again) {
        if (ioctl(out.native_handle(), TIOCOUTQ, &left) != 0 || left == 0)
            co_return;
        co_await pause(look_again);
    }
    tcflush(out.native_handle(), TCOFLUSH);
}

// False: the line has hung up.
asio::awaitable<bool> SerialListener::Impl::fall_silent()
{
    Bytes rest(4096);
    Patience patience(in);
    error_code error;
    while (!error) {
        patience.start(quiet);
        co_await in.async_read_some(asio::buffer(rest), asio::redirect_error(asio::use_awaitable, error));
        patience.stop();
    }
    co_return error == asio::error::operation_aborted;
}

asio::awaitable<void> SerialListener::Impl::reopen()
{
    log(Priority::warning, "the serial line has hung up", {{"PEER", name}});
    error_code ignored;
    in.close(ignored);
    out.close(ignored);
    while (!closed && !in.is_open()) {
        co_await pause(reopening);
        try {
            open();
            log(Priority::notice, "the serial line is back", {{"PEER", name}});
        } catch (const Error&) {
            continue; // not yet
        }
    }
}

asio::awaitable<void> SerialListener::Impl::run()
{
    const auto self = shared_from_this();
    while (!closed) {
        bool good = co_await begins();
        if (good) {
            const auto bridge = std::make_shared<Bridge>(in, out, pause_in_record);
            co_await bridge->run(handler, name);
            co_await get_out();
            good = co_await fall_silent();
        }
        if (!good && !closed)
            co_await reopen();
    }
}

SerialListener::SerialListener(const asio::any_io_executor& executor, const std::string& address)
    : impl_(std::make_shared<Impl>(executor, address))
{
}

SerialListener::~SerialListener() { close(); }

std::string SerialListener::address() const { return impl_->name; }

void SerialListener::start(Listener::Handler handler)
{
    impl_->handler = std::move(handler);
    asio::co_spawn(
        impl_->in.get_executor(), [self = impl_] { return self->run(); },
        [](const std::exception_ptr& fault) {
            if (fault)
                log(Priority::error, "a serial line is served no more");
        });
}

void SerialListener::close()
{
    impl_->closed = true;
    impl_->timer.cancel();
    error_code ignored;
    if (impl_->waiting)
        impl_->in.cancel(ignored);
}

asio::awaitable<void> converse_over(Fd in, Fd out, Listener::Handler handler, std::string peer)
{
    const auto executor = co_await asio::this_coro::executor;
    Descriptor source(executor), sink(executor);
    error_code error;
    source.assign(in.release(), error);
    if (!error)
        sink.assign(out.release(), error);
    if (error)
        throw Error(Reason::invalid_argument, "cannot talk over " + peer + ": " + error.message());
    const auto bridge = std::make_shared<Bridge>(source, sink, std::nullopt);
    co_await bridge->run(handler, std::move(peer));
}

} // namespace imprint::server
