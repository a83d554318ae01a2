// SPDX-License-Identifier: Apache-2.0
// How the operators' commands show things; for their own files.
#pragma once

#include "provisioning/server/output.h"
#include "provisioning/station/store.h"

#include <iostream>

namespace imprint::station {

using server::confirmed;
using server::utc;

inline pki::Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

// An operator's act in the audit log.
inline void audit(Store& store, const std::string& event, const std::string& chip, const std::string& detail)
{
    store.audit({.time = now(), .event = event, .chip = chip, .peer = "operator", .detail = detail});
}

} // namespace imprint::station
