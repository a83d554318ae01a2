// SPDX-License-Identifier: Apache-2.0
#include "provisioning/device/conversation.h"

#include "provisioning/protocol/framing.h"

#include <unistd.h>

namespace imprint::device {

namespace {

using Clock = std::chrono::steady_clock;

// What a handshake ends with when bytes of something else stand in the line, here or at the station.
bool may_be_noise(Reason reason)
{
    return reason == Reason::malformed_message || reason == Reason::unsupported_version ||
        reason == Reason::signature_invalid || reason == Reason::connection_lost || reason == Reason::timed_out;
}

tls::ClientSettings settings_for(const pki::Trust& trust, const std::string& server_name)
{
    return {trust, pki::Role::station_tls, server_name, std::string(protocol::alpn), std::nullopt};
}

// A terminal line has no beginning and no end: half of a former conversation may still be in it, on either side. It is
// drained first, and a handshake that stumbles over the rest is tried again. A station that is silent gets a share of
// the time each try, one that answers all of it: lines may be slow.
std::unique_ptr<tls::Stream> over_line(const Fd& line, const pki::Trust& trust, tls::Deadline deadline,
                                       const tls::Cancel& cancel)
{
    for (int left = 3;; --left) {
        const auto now = Clock::now();
        const auto share = now + (deadline - now) / left;
        try {
            tls::drain(line.get(), share, cancel);
            auto settings = settings_for(trust, {});
            settings.first_answer = share;
            return std::make_unique<tls::Stream>(duplicate(line.get()), std::move(settings), deadline, cancel);
        } catch (const Error& error) {
            if (left == 1 || !may_be_noise(error.reason()))
                throw;
        }
    }
}

std::unique_ptr<tls::Stream> open(Device::Link station, const pki::Trust& trust, tls::Deadline deadline,
                                  const tls::Cancel& cancel)
{
    std::string name;
    if (const auto* address = std::get_if<std::string>(&station)) {
        name = tls::host_of(*address);
        station = tls::connect(*address, protocol::default_port, deadline, cancel);
    }
    auto& fd = std::get<Fd>(station);
    if (isatty(fd.get()) != 0)
        return over_line(fd, trust, deadline, cancel);
    return std::make_unique<tls::Stream>(std::move(fd), settings_for(trust, name), deadline, cancel);
}

} // namespace

Conversation::Conversation(Device::Link station, const pki::Trust& trust, const Settings& settings,
                           const tls::Cancel& cancel)
    : message_timeout_(settings.message_timeout)
    , stream_(open(std::move(station), trust, Clock::now() + settings.connect_timeout, cancel))
{
}

Bytes Conversation::exchange(BytesView message)
{
    stream_->write(protocol::frame(message), message_deadline());
    const auto deadline = message_deadline();
    const Bytes header = stream_->read(4, deadline);
    const auto size = protocol::announced_length({header[0], header[1], header[2], header[3]});
    if (!size) {
        refuse(size.refusal());
        throw Error(size.refusal());
    }
    return stream_->read(*size, deadline);
}

void Conversation::refuse(const Refusal& refusal) noexcept
{
    try {
        stream_->write(protocol::frame(protocol::serialize(protocol::refused(refusal))), message_deadline());
        stream_->close();
    } catch (...) {
        // The station will see the end of the connection instead.
        return;
    }
}

tls::Deadline Conversation::message_deadline() const { return Clock::now() + message_timeout_; }

} // namespace imprint::device
