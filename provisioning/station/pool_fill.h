// SPDX-License-Identifier: Apache-2.0
// Makes pairs in advance, on several processors.
#pragma once

#include "provisioning/station/pool.h"

#include <atomic>
#include <functional>

namespace imprint::station {

struct Filling {
    PairKind kind = PairKind::p256;
    std::size_t wanted = 0; // free pairs of this kind that there are to be in the end
    unsigned jobs = 1; // threads
};

// Adds what is missing, durably in batches of 256 or of a second; until `stop`. `progress` hears of every batch how
// many are there. Several may fill one store: together they add what is missing. Returns how many are there.
std::size_t fill(Store& store, const Pool& pool, const Filling& filling, const std::atomic<bool>& stop,
                 const std::function<void(std::size_t free)>& progress);

} // namespace imprint::station
