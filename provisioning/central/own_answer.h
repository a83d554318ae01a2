// SPDX-License-Identifier: Apache-2.0
// What the central system itself says to an accepted device, where there is no backend: HTTP/1.1, GET / tells who the
// device is. Includes Asio: for few translation units.
#pragma once

#include "provisioning/central/peer.h"
#include "provisioning/server/tls_stream.h"

namespace imprint::central {

// Answers requests until the device leaves, or sends none for `limit`.
boost::asio::awaitable<void> answer_itself(server::TlsStream& stream, const Peer& peer, std::chrono::seconds limit);

} // namespace imprint::central
