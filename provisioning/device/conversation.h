// SPDX-License-Identifier: Apache-2.0
// One TLS connection to a station: messages out and in, each with its deadline.
#pragma once

#include "provisioning/device/device.h"

namespace imprint::device {

class Conversation {
public:
    // Connects (or takes the connected descriptor) and handshakes. Throws what tls::connect and tls::Stream throw.
    Conversation(Device::Link station, const pki::Trust& trust, const Settings& settings, const tls::Cancel& cancel);

    Bytes channel_binding() const { return stream_->channel_binding(); }
    std::string station_name() const { return stream_->peer().common_name(); }

    // Sends a message and waits for the answer's bytes, unparsed.
    Bytes exchange(BytesView message);
    // Tells the station why this is the end, as far as it still listens.
    void refuse(const Refusal& refusal) noexcept;
    void close() noexcept { stream_->close(); }

private:
    tls::Deadline message_deadline() const;

    std::chrono::seconds message_timeout_;
    std::unique_ptr<tls::Stream> stream_;
};

} // namespace imprint::device
