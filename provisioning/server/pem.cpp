// SPDX-License-Identifier: Apache-2.0
#include "provisioning/server/pem.h"

#include "daemon/base/error.h"
#include "daemon/base/file.h"

namespace imprint::server {

Bytes read_pem(const std::filesystem::path& path, std::string_view maker)
{
    constexpr std::size_t max_pem = 1024 * 1024;
    auto pem = read_file(path, max_pem);
    if (!pem)
        throw Error(Reason::not_configured,
                    path.string() + " is missing" + (maker.empty() ? "" : "; " + std::string(maker) + " makes it"));
    return *std::move(pem);
}

pki::Certificates read_chain(const std::filesystem::path& path, std::string_view maker)
{
    auto chain = pki::certificates_from_pem(read_pem(path, maker));
    if (chain.empty())
        throw Error(Reason::not_configured, path.string() + " holds no certificate");
    return chain;
}

} // namespace imprint::server
