// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/identity_request.h"

namespace imprint::station {

namespace {

bool is_promised_one(Store& store, const Claim& claim)
{
    return claim.introduction && store.introduction(claim.introduction->selector).value().identity;
}

} // namespace

Verdict judge_request(Store& store, const Claim& claim, pki::Time now)
{
    if (!claim.requested || claim.identity_certificate)
        return accepted();
    auto transaction = store.begin();
    if (store.chip(claim.chip) || is_promised_one(store, claim))
        return accepted();
    const auto assigned = store.assign_requested(claim.chip, *claim.requested);
    if (assigned)
        return accepted();
    if (assigned.refusal().reason == Reason::identity_unconfirmed) {
        store.enter_request({claim.chip, *claim.requested, now});
        transaction.commit();
    }
    return assigned.refusal();
}

} // namespace imprint::station
