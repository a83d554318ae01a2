// SPDX-License-Identifier: Apache-2.0
#include "daemon/tls/relay.h"

#include "daemon/tls/relay_pair.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <sys/epoll.h>
#include <sys/eventfd.h>

namespace imprint::tls {

namespace {

constexpr std::uint64_t wake_key = 0; // pairs are numbered from 1

Fd opened(int fd, const char* what)
{
    if (fd < 0)
        throw Error(Reason::internal, std::string("cannot make ") + what + ": " + std::strerror(errno));
    return Fd(fd);
}

// One for all pairs of a thread.
std::array<std::uint8_t, RelayPair::piece>& room()
{
    thread_local std::array<std::uint8_t, RelayPair::piece> bytes;
    return bytes;
}

} // namespace

Relay::Relay(Counted counted)
    : counted_(std::move(counted))
    , epoll_(opened(epoll_create1(EPOLL_CLOEXEC), "an epoll descriptor"))
    , wake_(opened(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "an event descriptor"))
{
    epoll_event event{EPOLLIN, {}};
    event.data.u64 = wake_key;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0)
        throw Error(Reason::internal, std::string("cannot watch an event descriptor: ") + std::strerror(errno));
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

Relay::~Relay()
{
    thread_.request_stop();
    wake();
}

void Relay::add(Established remote, Fd local)
{
    {
        const std::lock_guard lock(mutex_);
        added_.emplace_back(std::move(remote), std::move(local));
        ++size_;
    }
    wake();
}

void Relay::end_all()
{
    std::unique_lock lock(mutex_);
    const auto asked = ++ends_asked_;
    wake();
    ended_.wait(lock, [&] { return ends_done_ >= asked; });
}

void Relay::wake() const noexcept { static_cast<void>(eventfd_write(wake_.get(), 1)); }

void Relay::run(const std::stop_token& stop)
{
    std::array<epoll_event, 64> events{};
    std::size_t told = 0;
    while (!stop.stop_requested()) {
        const int count = epoll_wait(epoll_.get(), events.data(), events.size(), -1);
        for (int i = 0; i < count; ++i) {
            const auto& event = events[static_cast<std::size_t>(i)];
            if (event.data.u64 == wake_key)
                serve_wake();
            else
                serve_event(event.data.u64, event.events);
        }
        if (const std::size_t pairs = size_; counted_ && std::exchange(told, pairs) != pairs)
            counted_(pairs);
    }
    pairs_.clear();
}

void Relay::serve_wake()
{
    eventfd_t ignored = 0;
    eventfd_read(wake_.get(), &ignored);
    Added added;
    std::uint64_t ends = 0;
    {
        const std::lock_guard lock(mutex_);
        added = std::exchange(added_, {});
        ends = ends_asked_ > ends_done_ ? ends_asked_ : 0;
    }
    if (ends == 0) {
        for (auto& [remote, local] : added)
            begin(std::move(remote), std::move(local));
        return;
    }
    size_ -= pairs_.size() + added.size();
    pairs_.clear();
    added.clear();
    {
        const std::lock_guard lock(mutex_);
        ends_done_ = ends;
    }
    ended_.notify_all();
}

// Both sides are served at once: the handshake may have left something in OpenSSL that epoll knows nothing of.
void Relay::begin(Established remote, Fd local)
try {
    const auto number = next_++;
    auto pair = std::make_unique<RelayPair>(std::move(remote), std::move(local), epoll_.get(), number);
    if (pair->serve(RelayPair::Side::remote, 0, room()) && pair->serve(RelayPair::Side::local, 0, room()))
        pairs_.emplace(number, std::move(pair));
    else
        --size_;
} catch (const std::exception&) {
    --size_; // as if the line had broken: there is nobody to tell
}

void Relay::serve_event(std::uint64_t key, std::uint32_t events)
{
    const auto number = RelayPair::number_of(key);
    const auto found = pairs_.find(number);
    if (found == pairs_.end()) // an earlier event of this round has ended it
        return;
    try {
        if (!found->second->serve(RelayPair::side_of(key), events, room()))
            end(number);
    } catch (const std::exception&) {
        end(number);
    }
}

void Relay::end(std::uint64_t number) noexcept
{
    pairs_.erase(number);
    --size_;
}

} // namespace imprint::tls
