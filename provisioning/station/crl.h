// SPDX-License-Identifier: Apache-2.0
// The list of certificates of this station that nobody is to believe any more: of grants that never got their receipt,
// of earlier personalizations, of chips that were replaced.
#pragma once

#include "provisioning/station/station.h"
#include "provisioning/station/store.h"

#include <filesystem>

namespace imprint::station {

inline constexpr std::chrono::days crl_lifetime{30};

// Makes a new CRL with the next number and replaces the file (PEM: the list, then the signing certificate and its
// issuers, then those of the stations that brought theirs here) with it in one step.
pki::Crl write_crl(const std::filesystem::path& path, const Credentials& credentials, Store& store, pki::Time now);

} // namespace imprint::station
