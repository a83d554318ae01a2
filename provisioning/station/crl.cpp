// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/crl.h"

#include "daemon/base/file.h"
#include "provisioning/server/owner.h"

namespace imprint::station {

namespace {

constexpr mode_t readable = 0644; // it is for everybody

} // namespace

pki::Crl write_crl(const std::filesystem::path& path, const Credentials& credentials, Store& store, pki::Time now)
{
    // The transaction also keeps a second writer from putting an older list over a newer one.
    auto transaction = store.begin();
    const pki::Issuer issuer{credentials.signing.front(), credentials.signing_key.get()};
    const auto crl = pki::issue_crl(issuer, store.next_crl_number(), store.revoked(), {now, now + crl_lifetime});
    Bytes pem = crl.pem();
    const auto append = [&](const Bytes& more) { pem.insert(pem.end(), more.begin(), more.end()); };
    append(pki::to_pem(credentials.signing)); // without them nobody could check it
    for (const auto& other : store.revocation_lists())
        append(other.pem);
    const server::AsOwnerOf owner(path.parent_path());
    write_file(path, pem, readable);
    transaction.commit();
    return crl;
}

} // namespace imprint::station
