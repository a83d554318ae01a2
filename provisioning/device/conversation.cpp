// SPDX-License-Identifier: Apache-2.0
#include "provisioning/device/conversation.h"

#include "provisioning/protocol/framing.h"

namespace imprint::device {

namespace {

using Clock = std::chrono::steady_clock;

std::unique_ptr<tls::Stream> open(Device::Link station, const pki::Trust& trust, tls::Deadline deadline,
                                  const tls::Cancel& cancel)
{
    tls::ClientSettings client{trust, pki::Role::station_tls, {}, std::string(protocol::alpn), std::nullopt};
    if (auto* fd = std::get_if<Fd>(&station))
        return std::make_unique<tls::Stream>(std::move(*fd), std::move(client), deadline, cancel);
    const auto& address = std::get<std::string>(station);
    client.server_name = tls::host_of(address);
    return std::make_unique<tls::Stream>(tls::connect(address, protocol::default_port, deadline, cancel),
                                         std::move(client), deadline, cancel);
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
