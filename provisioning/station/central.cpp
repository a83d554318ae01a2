// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/central.h"

#include "daemon/pki/cross.h"
#include "daemon/pki/issue.h"
#include "provisioning/protocol/central_set.h"

#include <algorithm>

namespace imprint::station {

namespace {

constexpr auto clock_tolerance = std::chrono::hours(1); // a device's clock may lag behind ours

protocol::CentralKey certify(const Credentials& credentials, const CentralEntry& entry, pki::Time now)
{
    const auto& signer = credentials.signing.front();
    const pki::Validity validity{.not_before = std::max<pki::Time>(now - clock_tolerance, signer.not_before()),
                                 .not_after = signer.not_after()};
    protocol::CentralKey key{
        pki::issue_certified_central({signer, credentials.signing_key.get()}, entry.spki, entry.name, validity), {}};
    if (entry.cross_certificate.empty())
        return key;
    auto cross = pki::Certificate::from_der(entry.cross_certificate).or_throw();
    if (pki::check_cross_certificate(cross, signer, key.certificate, now))
        key.cross_certificate = std::move(cross);
    return key;
}

} // namespace

Bytes central_set(const Credentials& credentials, Store& store, pki::Time now)
{
    std::vector<protocol::CentralKey> keys;
    for (const auto& entry : store.central_keys())
        keys.push_back(certify(credentials, entry, now));
    if (keys.empty())
        return {};
    const pki::Certificates issuers(credentials.signing.begin() + 1, credentials.signing.end());
    return protocol::make_central_set(store.central_number(), keys, credentials.signing.front(),
                                      credentials.signing_key.get(), issuers);
}

} // namespace imprint::station
