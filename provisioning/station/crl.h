// SPDX-License-Identifier: Apache-2.0
// The list of module certificates that were granted and never got their receipt.
#pragma once

#include "provisioning/station/station.h"
#include "provisioning/station/store.h"

#include <filesystem>

namespace imprint::station {

inline constexpr std::chrono::days crl_lifetime{30};

// Makes a new CRL with the next number and replaces the file (PEM: the list, then the signing certificate and its
// issuers) with it in one step.
void write_crl(const std::filesystem::path& path, const Credentials& credentials, Store& store, pki::Time now);

} // namespace imprint::station
