// SPDX-License-Identifier: Apache-2.0
// The life of a server process: one event loop, signals, systemd's notifications.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace boost::asio {
class io_context;
}

namespace imprint::server {

class Service {
public:
    Service();
    ~Service();
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;

    boost::asio::io_context& io();

    // Called in the loop when SIGTERM or SIGINT comes: stop accepting, cancel timers.
    void on_stop(std::function<void()> callback);

    // Called in the loop when SIGHUP comes (systemctl reload): takes up files that were replaced, or throws and leaves
    // everything as it was. Either is logged, and told to the service manager. Without one SIGHUP ends the process.
    void on_reload(std::function<void()> callback);

    // Prints "listening <what> <address>" to stdout, at once: whoever started the process may connect now.
    static void announce(const std::string& what, const std::string& address);

    // Ends run() as a signal does; from inside the loop.
    void stop();

    // Runs the loop: READY=1 (and the watchdog's pings) until a signal comes, then STOPPING=1, the callbacks, and at
    // most `grace` for what is still going on. What a handler throws ends it.
    void run(std::chrono::seconds grace = std::chrono::seconds(10));

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace imprint::server
