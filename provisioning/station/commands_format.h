// SPDX-License-Identifier: Apache-2.0
// How the operators' commands show things; for their own files.
#pragma once

#include "provisioning/station/store.h"

#include <ctime>
#include <iostream>

namespace imprint::station {

// "2026-01-02T03:04:05Z"
inline std::string utc(pki::Time time)
{
    const std::time_t since_epoch = std::chrono::system_clock::to_time_t(time);
    std::tm parts{};
    gmtime_r(&since_epoch, &parts);
    std::array<char, 32> text{};
    return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

inline pki::Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

// An operator's act in the audit log.
inline void audit(Store& store, const std::string& event, const std::string& chip, const std::string& detail)
{
    store.audit({.time = now(), .event = event, .chip = chip, .peer = "operator", .detail = detail});
}

} // namespace imprint::station
