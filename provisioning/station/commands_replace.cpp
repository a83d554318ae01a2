// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/commands.h"

#include "backup/package/replacement.h"
#include "provisioning/station/commands_format.h"
#include "provisioning/station/crl.h"
#include "provisioning/station/server.h"

namespace imprint::station {

namespace {

ReplacementEntry make_entry(Store& store, const Credentials& credentials, package::Replacement replacement)
{
    auto identity = store.check_replacement(replacement.former, replacement.present);
    if (!identity)
        throw Error(identity.refusal());
    replacement.identity = *std::move(identity);
    const auto& signing = credentials.signing;
    const auto statement = package::make_replacement(replacement, signing.front(), credentials.signing_key.get(),
                                                     {signing.begin() + 1, signing.end()});
    // What the archive would refuse, an identity out of this station's ranges for example, is not begun.
    package::open_replacement(statement, *credentials.trust, replacement.time).or_throw();
    return {replacement.former, replacement.present, replacement.identity,
            replacement.time,   replacement.reason,  statement};
}

} // namespace

int replace_chip(Store& store, const Credentials& credentials, const std::filesystem::path& state,
                 const ReplaceOptions& options)
{
    auto transaction = store.begin();
    const auto entry = make_entry(store, credentials, {{}, options.former, options.present, now(), options.reason});
    store.add_replacement(entry);
    const auto revoked = store.revoke_all_grants(entry.former, now());
    audit(store, "replaced", entry.former,
          entry.identity.kind + " " + entry.identity.value + " goes on with chip " + entry.present + ": " +
              entry.reason);
    for (const auto& serial : revoked)
        audit(store, "revoked", entry.former, "module certificate " + serial + " of a chip that was replaced");
    transaction.commit();
    if (!revoked.empty())
        write_crl(crl_path(state), credentials, store, now());
    std::cout << entry.identity.value << " goes on with chip " << entry.present << '\n';
    return exit_ok;
}

} // namespace imprint::station
