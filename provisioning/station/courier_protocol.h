// SPDX-License-Identifier: Apache-2.0
// Couriers on the address for operations. Includes Asio: for few translation units.
#pragma once

#include "provisioning/station/operations.h"
#include "provisioning/station/store.h"

#include <boost/asio/thread_pool.hpp>

namespace imprint::station {

struct CourierSettings {
    std::string public_address; // of the station, for devices; empty: as they are configured
    std::chrono::seconds message_timeout{60};
};

// Store and worker are borrowed; `journal` is told what the audit log was told.
OperationsProtocol courier_protocol(Store& store, boost::asio::thread_pool& worker, CourierSettings settings,
                                    std::function<void(const AuditEntry&)> journal);

} // namespace imprint::station
