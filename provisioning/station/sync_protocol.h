// SPDX-License-Identifier: Apache-2.0
// Other stations on the address for operations: what they personalized in the field. Includes Asio: for few translation
// units.
#pragma once

#include "provisioning/station/operations.h"
#include "provisioning/station/sync_receiver.h"

#include <boost/asio/thread_pool.hpp>

namespace imprint::station {

// Store, worker and trust are borrowed, the latter for each conversation anew; `revoked` is called in the worker before
// the other side hears of what it made out of date in the CRL; `told` gets each reply after it became durable: for the
// journal and the outbox.
OperationsProtocol sync_protocol(Store& store, boost::asio::thread_pool& worker,
                                 const std::shared_ptr<const pki::Trust>& trust, std::chrono::seconds message_timeout,
                                 std::function<void()> revoked, std::function<void(const SyncReply&)> told);

} // namespace imprint::station
