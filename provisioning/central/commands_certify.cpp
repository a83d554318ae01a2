// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/file.h"
#include "daemon/pki/issue.h"
#include "provisioning/central/commands.h"

#include <algorithm>
#include <iostream>

namespace imprint::central {

namespace {

constexpr std::size_t max_pem = 64 * 1024;
constexpr std::chrono::hours clock_tolerance{1}; // a device's clock may lag behind ours

} // namespace

int certify_station(const Credentials& credentials, const std::filesystem::path& station, pki::Time now)
{
    const auto pem = read_file(station, max_pem);
    const auto chain = pki::certificates_from_pem(pem.value_or(Bytes{}));
    if (chain.empty())
        throw Error(Reason::invalid_argument, station.string() + " holds no certificate");
    const auto& signing = chain.front();
    if (const auto verified = pki::verify(signing, chain, credentials.bundle, pki::Role::station_signing, now);
        !verified)
        throw Error(verified.refusal().reason, station.string() + ": " + verified.refusal().detail);
    // It says nothing beyond the certificate that it stands beside.
    const pki::Validity validity{std::max<pki::Time>(now - clock_tolerance, signing.not_before()), signing.not_after()};
    const auto cross =
        pki::issue_cross_certificate({credentials.tls.front(), credentials.key.get()}, signing, validity);
    std::cout << as_text(pki::to_pem({cross})) << std::flush;
    return exit_ok;
}

} // namespace imprint::central
