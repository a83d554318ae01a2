// SPDX-License-Identifier: Apache-2.0
#include "provisioning/device/channels.h"

#include "provisioning/protocol/transaction_key.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace imprint::device {

namespace {

constexpr std::size_t most_threads = 8;
constexpr std::size_t most_waiting = 1024;
constexpr std::size_t most_channels = 2048; // two descriptors each: LimitNOFILE= of imprintd.service

std::pair<Fd, Fd> socket_pair()
{
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
        throw Error(Reason::internal, std::string("cannot make a pair of sockets: ") + std::strerror(errno));
    return {Fd(ends[0]), Fd(ends[1])};
}

// Whoever listens there, and nobody but the caller: otherwise imprintd could be made to speak to a service that takes
// it for what it is, or to hand a channel to a stranger.
Fd join(const std::string& path, uid_t owner, tls::Deadline deadline, const tls::Cancel& cancel)
{
    Fd fd = tls::connect("unix:" + path, 0, deadline, cancel);
    ucred peer{};
    socklen_t size = sizeof peer;
    if (getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.uid != owner)
        throw Error(Reason::not_authorized, "the socket " + path + " is not the caller's own");
    return fd;
}

// A peer that is gone without a word is noticed some day, by whoever waits for it.
void keep_alive(int fd)
{
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

// One connection to be made.
struct Dial {
    const Operating& operating;
    const std::string& address;
    const tls::Cancel& cancel;
    tls::Deadline deadline;
};

std::unique_ptr<tls::Stream> dial_with(const Dial& dial, const std::string& alpn, std::optional<tls::PreSharedKey> psk)
{
    const auto& operating = dial.operating;
    tls::ClientSettings client{operating.trust, pki::Role::central, tls::host_of(dial.address), alpn, {}};
    client.server_keys = operating.central_keys();
    if (client.server_keys->empty())
        throw Error(Reason::central_key_unknown, "this device was not given the central system's keys");
    client.psk = std::move(psk);
    Fd line = tls::connect(dial.address, central_port, dial.deadline, dial.cancel);
    keep_alive(line.get());
    return std::make_unique<tls::Stream>(std::move(line), client, operating.context, dial.deadline, dial.cancel);
}

// A PSK that the other side does not know, or knows with another secret, is in nobody's way.
std::unique_ptr<tls::Stream> dial_with_any_key(const Dial& dial, const std::string& alpn)
{
    auto* keys = dial.operating.transactions.get();
    auto psk = keys != nullptr ? keys->offer(dial.address, dial.operating.central_keys()) : std::nullopt;
    if (!psk)
        return dial_with(dial, alpn, std::nullopt);
    const Bytes identity = psk->identity;
    try {
        auto stream = dial_with(dial, alpn, std::move(psk));
        if (stream->used_psk())
            keys->taken(dial.address);
        else
            keys->turned_down(dial.address, identity);
        return stream;
    } catch (const Error& error) {
        if (error.reason() != Reason::malformed_message && error.reason() != Reason::signature_invalid)
            throw;
        keys->turned_down(dial.address, identity);
    }
    return dial_with(dial, alpn, std::nullopt);
}

} // namespace

Channels::Channels(std::chrono::seconds connect_timeout)
    : connect_timeout_(connect_timeout)
    , relay_([this](std::size_t) { changed(); })
    , refusal_{Reason::wrong_state, "imprintd has not looked at the device yet"}
{
}

Channels::~Channels()
{
    end({Reason::cancelled, "imprintd is stopping"});
    for (auto& thread : threads_)
        thread.request_stop();
}

void Channels::watch(std::function<void()> changed)
{
    const std::lock_guard lock(watch_mutex_);
    watched_ = std::move(changed);
}

void Channels::changed()
{
    const std::lock_guard lock(watch_mutex_);
    if (watched_)
        watched_();
}

void Channels::publish(std::shared_ptr<const Operating> operating)
{
    bool same = false;
    {
        const std::lock_guard lock(mutex_);
        same = !operating_ || operating_->epoch == operating->epoch;
    }
    if (!same)
        end({Reason::wrong_state, "the device operates in another epoch now"});
    const std::lock_guard lock(mutex_);
    operating_ = std::move(operating);
}

void Channels::refuse(const Refusal& why)
{
    const std::lock_guard lock(mutex_);
    operating_.reset();
    refusal_ = why;
}

void Channels::end(const Refusal& why)
{
    refuse(why);
    std::deque<Job> turned_away;
    {
        const std::lock_guard lock(mutex_);
        turned_away.swap(waiting_);
        for (const auto& cancel : under_way_)
            cancel->cancel();
    }
    for (const auto& job : turned_away)
        job.opened(why);
    {
        std::unique_lock lock(mutex_);
        idle_.wait(lock, [this] { return under_way_.empty(); });
    }
    relay_.end_all();
}

void Channels::open(ChannelRequest request, ChannelOpened opened)
{
    const std::lock_guard lock(mutex_);
    if (!operating_)
        throw Error(refusal_);
    if (waiting_.size() >= most_waiting || waiting_.size() + under_way_.size() + relay_.size() >= most_channels)
        throw Error(Reason::busy, "there are too many channels, or too many on their way");
    if (threads_.size() < most_threads && under_way_.size() + waiting_.size() >= threads_.size())
        threads_.emplace_back([this](const std::stop_token& stop) { run(stop); });
    waiting_.push_back({std::move(request), std::move(opened)});
    wake_.notify_one();
}

void Channels::run(const std::stop_token& stop)
{
    while (const auto begun = next(stop)) {
        auto opened = attempt(*begun);
        const bool connected = static_cast<bool>(opened);
        begun->job.opened(std::move(opened));
        if (connected)
            get_transaction_key(*begun);
        done(*begun); // end() waits for all of it
    }
}

std::optional<Channels::Attempt> Channels::next(const std::stop_token& stop)
{
    auto cancel = std::make_shared<tls::Cancel>();
    std::unique_lock lock(mutex_);
    if (!wake_.wait(lock, stop, [this] { return !waiting_.empty(); }))
        return std::nullopt;
    under_way_.push_back(cancel);
    Attempt begun{std::move(waiting_.front()), operating_, std::move(cancel)};
    waiting_.pop_front();
    return begun;
}

void Channels::done(const Attempt& attempt)
{
    {
        const std::lock_guard lock(mutex_);
        std::erase(under_way_, attempt.cancel);
    }
    idle_.notify_all();
}

Result<Fd> Channels::attempt(const Attempt& attempt) noexcept
{
    try {
        return connect(attempt);
    } catch (const Error& error) {
        if (!attempt.cancel->cancelled())
            return error.refusal();
        const std::lock_guard lock(mutex_);
        return refusal_; // why it was cancelled
    } catch (const std::exception& error) {
        return Refusal{Reason::internal, error.what()};
    }
}

Fd Channels::connect(const Attempt& attempt)
{
    const auto& request = attempt.job.request;
    const auto deadline = std::chrono::steady_clock::now() + request.timeout.value_or(connect_timeout_);
    const Dial dial{*attempt.operating, request.address, *attempt.cancel, deadline};
    Fd ours, programs;
    if (request.socket.empty())
        std::tie(ours, programs) = socket_pair();
    else
        ours = join(request.socket, request.owner, deadline, *attempt.cancel);
    auto stream = dial_with_any_key(dial, request.alpn);
    relay_.add(std::move(*stream).release(), std::move(ours));
    return programs;
}

// After the channel is there: nobody waits for it, and the next connection finds it. Where there is none to be had, the
// module key goes on doing, and it is tried again later.
void Channels::get_transaction_key(const Attempt& attempt) noexcept
{
    const auto& operating = *attempt.operating;
    const auto& address = attempt.job.request.address;
    const auto quietly = [](auto body) {
        try {
            body();
            return true;
        } catch (const std::exception&) {
            return false;
        }
    };
    bool begun = false;
    quietly(
        [&] { begun = operating.transactions && operating.transactions->begin(address, operating.central_keys()); });
    if (!begun)
        return;
    Bytes update;
    const bool succeeded = quietly([&] {
        const Dial dial{operating, address, *attempt.cancel, std::chrono::steady_clock::now() + connect_timeout_};
        const auto stream = dial_with(dial, std::string(protocol::key_alpn), std::nullopt);
        update = operating.transactions->establish(*stream, address, dial.deadline);
        stream->close();
    });
    operating.transactions->end(address, succeeded);
    if (!update.empty()) // signed by a station, or refused
        quietly([&] { operating.update_central(update); });
    changed();
}

} // namespace imprint::device
