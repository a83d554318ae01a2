// SPDX-License-Identifier: Apache-2.0
#include "dbus/imprintctl/connect.h"

#include "daemon/base/file.h"
#include "dbus/imprintctl/joint.h"

#include <atomic>
#include <csignal>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

namespace imprint::ctl {

namespace {

constexpr std::size_t most_connections = 512;

Client::Arguments arguments(const Target& target)
{
    return [target](sd_bus_message* call) {
        int result = sd_bus_message_append(call, "s", target.address.c_str());
        if (result >= 0)
            result = target.alpn.empty() ? sd_bus_message_append(call, "a{sv}", 0)
                                         : sd_bus_message_append(call, "a{sv}", 1, "alpn", "s", target.alpn.c_str());
        return result;
    };
}

Fd channel_of(sd_bus_message* answer)
{
    int borrowed = -1;
    if (const int result = sd_bus_message_read(answer, "h", &borrowed); result < 0)
        throw bus_failure(result);
    Fd own(fcntl(borrowed, F_DUPFD_CLOEXEC, 3));
    if (!own)
        throw_errno("cannot keep the channel");
    return own;
}

sockaddr_un address_of(const std::filesystem::path& path)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.native().size() >= sizeof address.sun_path)
        throw Error(Reason::invalid_argument, "too long for a socket: " + path.string());
    std::ranges::copy(path.native(), address.sun_path);
    return address;
}

Fd new_socket()
{
    Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd)
        throw_errno("cannot make a socket");
    return fd;
}

// Left behind by somebody who was killed.
bool is_deserted(const sockaddr_un& address)
{
    const Fd probe = new_socket();
    return connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
        errno == ECONNREFUSED;
}

Fd listen_at(const std::filesystem::path& path)
{
    const auto address = address_of(path);
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    Fd fd = new_socket();
    umask(0077);
    if (is_deserted(address))
        unlink(path.c_str());
    if (bind(fd.get(), generic, sizeof address) != 0 || listen(fd.get(), SOMAXCONN) != 0)
        throw_errno("cannot listen at " + path.string());
    return fd;
}

// The listening socket and what became of the connections to it.
class Server {
public:
    Server(Client& client, const Target& target, std::filesystem::path path, std::function<void(const Failure&)> failed)
        : client_(client)
        , target_(target)
        , path_(std::move(path))
        , failed_(std::move(failed))
        , listening_(listen_at(path_))
    {
        sd_event_source* source = nullptr;
        if (const int result = sd_event_add_io(client.loop(), &source, listening_.get(), EPOLLIN, on_connection, this);
            result < 0)
            throw bus_failure(result);
        source_.reset(source);
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server() { unlink(path_.c_str()); }

private:
    static int on_connection(sd_event_source*, int, std::uint32_t, void* data) noexcept
    {
        auto& self = *static_cast<Server*>(data);
        self.guard([&] { self.accept_one(); });
        return 0;
    }

    // What is thrown for one connection ends that one alone.
    template <class Body>
    void guard(Body&& body) noexcept
    {
        try {
            body();
        } catch (const Failure& failure) {
            failed_(failure);
        } catch (const Error& error) {
            failed_(failure_of(error.refusal()));
        } catch (const std::exception& error) {
            failed_(failure_of(Refusal{Reason::internal, error.what()}));
        }
    }

    void accept_one()
    {
        // Shared: functions are copied.
        const auto connection = std::make_shared<Fd>(accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!*connection)
            return; // it is gone again
        if (*open_ >= most_connections)
            throw Error(Reason::busy, "there are " + std::to_string(most_connections) + " connections already");
        client_.begin("Connect", arguments(target_), [this, connection](Client::Answer answer) {
            guard([&] {
                if (const auto* failure = std::get_if<Failure>(&answer))
                    throw Failure(*failure);
                serve(std::move(*connection), channel_of(std::get<dbus::Message>(answer).get()));
            });
        });
    }

    // A thread of its own, left to itself: it ends with its connection, or with the process.
    void serve(Fd connection, Fd channel)
    {
        Fd out(fcntl(connection.get(), F_DUPFD_CLOEXEC, 3));
        if (!out)
            throw_errno("cannot keep a connection");
        ++*open_;
        std::thread([open = open_, in = std::move(connection), out = std::move(out),
                     channel = std::move(channel)]() mutable {
            try {
                join(std::move(in), std::move(out), std::move(channel));
            } catch (const std::exception&) {
                // Both ends are closed, which is all that can be told to anybody.
            }
            --*open;
        }).detach();
    }

    Client& client_;
    const Target target_;
    const std::filesystem::path path_;
    std::function<void(const Failure&)> failed_;
    std::shared_ptr<std::atomic<std::size_t>> open_ = std::make_shared<std::atomic<std::size_t>>(0);
    Fd listening_;
    dbus::EventSource source_;
};

} // namespace

void connect_standard_streams(Client& client, const Target& target)
{
    client.leave_signals();
    const auto answer = client.call("Connect", arguments(target));
    std::signal(SIGPIPE, SIG_IGN);
    join(Fd(STDIN_FILENO), Fd(STDOUT_FILENO), channel_of(answer.get()));
}

void serve_socket(Client& client, const Target& target, const std::filesystem::path& path,
                  std::function<void(const Failure&)> failed)
{
    std::signal(SIGPIPE, SIG_IGN);
    const Server server(client, target, path, std::move(failed));
    client.run_until_interrupted();
}

} // namespace imprint::ctl
