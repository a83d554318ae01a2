// SPDX-License-Identifier: Apache-2.0
// A device at the other end of a link (link.md).
#pragma once

#include "daemon/tls/link.h"
#include "provisioning/protocol/link.h"

namespace imprint::courier {

class LineDevice : public protocol::Introducible {
public:
    // How long an answer is waited for before the request goes out again, and how often it goes out.
    struct Patience {
        std::chrono::milliseconds for_answer{5000};
        unsigned attempts = 6;
    };
    LineDevice(Fd link, Patience patience);

    std::string chip() override;
    void introduce(const Secret& ticket, const std::string& address) override;

private:
    using Words = std::vector<std::string>;
    Words ask(const protocol::LinkRequest& request);
    std::optional<Result<Words>> try_once(const protocol::LinkRequest& request); // nothing: no answer in time
    void send(BytesView bytes);
    Result<Words> receive(const protocol::LinkRequest& request);

    tls::Cancel never_;
    tls::Link link_;
    Patience patience_;
    protocol::LinkReader reader_;
};

} // namespace imprint::courier
