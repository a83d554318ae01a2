// SPDX-License-Identifier: Apache-2.0
// The PEM files without which a program does not start.
#pragma once

#include "daemon/pki/certificate.h"

#include <filesystem>
#include <string_view>

namespace imprint::server {

// At most 1 MiB. Error(not_configured) names the file that is missing and, where it is known, `maker` as who makes it.
Bytes read_pem(const std::filesystem::path& path, std::string_view maker = {});
// ... and it holds at least one certificate.
pki::Certificates read_chain(const std::filesystem::path& path, std::string_view maker = {});

} // namespace imprint::server
