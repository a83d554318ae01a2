// SPDX-License-Identifier: Apache-2.0
// imprintd's configuration: imprintd.conf(5).
#pragma once

#include "daemon/tpm/connection.h"
#include "provisioning/device/device.h"

#include <filesystem>
#include <string>

namespace imprint {

struct Config {
    device::Settings device{"/var/lib/imprint", "/usr/share/imprint/trust.pem"};
    tpm::Settings tpm;
    std::string station_address, archive_address, central_address; // empty: every call has to name one
};

// Defaults, then imprintd.conf of the vendor's and the administrator's directory (the latter replaces the former), then
// the drop-ins imprintd.conf.d/*.conf of both. Throws Error(not_configured), which names file and line, for what cannot
// be read, is unknown or out of range.
Config load_config(const std::filesystem::path& vendor, const std::filesystem::path& administrator);
// Defaults and this file alone.
Config load_config(const std::filesystem::path& path);

// Puts the credentials "owner-auth" and "endorsement-auth" in, where the directory has them: their bytes are the
// authorization values. Throws Error(not_configured) if one is longer than a TPM takes (64 bytes).
void read_credentials(tpm::Settings& settings, const std::filesystem::path& directory);

} // namespace imprint
