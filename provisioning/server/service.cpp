// SPDX-License-Identifier: Apache-2.0
#include "provisioning/server/service.h"

#include "provisioning/server/log.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <systemd/sd-daemon.h>

#include <csignal>
#include <ctime>
#include <iostream>
#include <vector>

namespace imprint::server {

namespace asio = boost::asio;

namespace {

// What systemd wants of a service that reloads: it compares that with the moment at which it asked.
void notify_reloading()
{
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    constexpr long long in_a_second = 1'000'000;
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", now.tv_sec * in_a_second + now.tv_nsec / 1000);
}

} // namespace

struct Service::Impl {
    asio::io_context io{1};
    asio::signal_set signals{io, SIGTERM, SIGINT};
    asio::signal_set hangups{io};
    asio::steady_timer watchdog{io};
    std::chrono::microseconds watchdog_interval{0};
    std::vector<std::function<void()>> callbacks;
    std::function<void()> reload_files;

    void await_hangup()
    {
        hangups.async_wait([this](const boost::system::error_code& error, int /*number*/) {
            if (error)
                return;
            notify_reloading();
            reload();
            sd_notify(0, "READY=1");
            await_hangup();
        });
    }

    void reload()
    try {
        reload_files();
        log(Priority::info, "the new files are in use");
    } catch (const Error& error) {
        leave({{"REASON", std::string(name(error.reason()))}, {"DETAIL", error.what()}});
    } catch (const std::exception& error) {
        leave({{"DETAIL", error.what()}});
    }
    static void leave(const Fields& why)
    {
        log(Priority::error, "the new files are not used; those before them stay in use", why);
    }

    // A ping from inside the loop says that the loop is alive.
    void ping()
    {
        sd_notify(0, "WATCHDOG=1");
        watchdog.expires_after(watchdog_interval);
        watchdog.async_wait([this](const boost::system::error_code& error) {
            if (!error)
                ping();
        });
    }
};

Service::Service()
    : impl_(std::make_unique<Impl>())
{
    std::signal(SIGPIPE, SIG_IGN); // a peer that went away is an error of the write, not the end of the process
}

Service::~Service() = default;

asio::io_context& Service::io() { return impl_->io; }

void Service::on_stop(std::function<void()> callback) { impl_->callbacks.push_back(std::move(callback)); }

void Service::on_reload(std::function<void()> callback)
{
    impl_->reload_files = std::move(callback);
    impl_->hangups.add(SIGHUP);
    impl_->await_hangup();
}

void Service::stop()
{
    impl_->signals.cancel();
    impl_->io.stop();
}

void Service::announce(const std::string& what, const std::string& address)
{
    std::cout << "listening " << what << ' ' << address << std::endl;
}

void Service::run(std::chrono::seconds grace)
{
    impl_->signals.async_wait([this](const boost::system::error_code& error, int /*number*/) {
        if (!error)
            impl_->io.stop();
    });
    std::uint64_t microseconds = 0;
    if (sd_watchdog_enabled(0, &microseconds) > 0) {
        impl_->watchdog_interval = std::chrono::microseconds(microseconds / 2);
        impl_->ping();
    }
    sd_notify(0, "READY=1");
    impl_->io.run();

    sd_notify(0, "STOPPING=1");
    impl_->watchdog.cancel();
    impl_->hangups.cancel();
    for (const auto& callback : impl_->callbacks)
        callback();
    impl_->io.restart();
    impl_->io.run_for(grace);
}

} // namespace imprint::server
