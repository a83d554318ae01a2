// SPDX-License-Identifier: Apache-2.0
// Brings what a mobile unit has to the main station, over mutual TLS. Blocking.
#pragma once

#include "provisioning/station/station.h"
#include "provisioning/station/sync_sender.h"

#include <functional>

namespace imprint::station {

using SyncProgress = std::function<void(const SyncTotal& total)>;

// `address`: "host:port" of the main station's address for operations. One connection; every wait has a deadline.
// `list` as for SyncSender. Throws Error: what the network and the station's certificate say, and what the station
// refuses with.
SyncTotal synchronize(Store& store, const Credentials& credentials, const std::string& address, bool dry_run,
                      const std::function<protocol::SyncRevocations()>& list, const SyncProgress& progress);

} // namespace imprint::station
