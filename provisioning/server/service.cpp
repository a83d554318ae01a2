// SPDX-License-Identifier: Apache-2.0
#include "provisioning/server/service.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <systemd/sd-daemon.h>

#include <csignal>
#include <iostream>
#include <vector>

namespace imprint::server {

namespace asio = boost::asio;

struct Service::Impl {
    asio::io_context io{1};
    asio::signal_set signals{io, SIGTERM, SIGINT};
    asio::steady_timer watchdog{io};
    std::chrono::microseconds watchdog_interval{0};
    std::vector<std::function<void()>> callbacks;

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
    for (const auto& callback : impl_->callbacks)
        callback();
    impl_->io.restart();
    impl_->io.run_for(grace);
}

} // namespace imprint::server
