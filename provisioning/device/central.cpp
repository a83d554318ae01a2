// SPDX-License-Identifier: Apache-2.0
#include "provisioning/device/central.h"

namespace imprint::device {

Verdict check_central_set(BytesView set, const pki::Certificate& station, const pki::Trust& trust,
                          const CentralPolicy& policy, pki::Time now)
{
    if (set.empty() && policy.required)
        return Refusal{Reason::central_not_certified, "the station gives no key of the central system"};
    if (set.empty())
        return accepted();
    const auto opened = protocol::open_central_set(set, trust, policy.cross, now);
    if (!opened)
        return opened.refusal();
    if (opened->signer != station)
        return Refusal{Reason::central_not_certified, "the central system's keys were signed by another station"};
    return accepted();
}

Result<std::optional<lifecycle::Personalization>> updated(lifecycle::Personalization present, BytesView set,
                                                          const pki::Trust& trust, const CentralPolicy& policy,
                                                          pki::Time now)
{
    const auto update = protocol::open_central_set(set, trust, policy.cross, now);
    if (!update)
        return update.refusal();
    if (!present.central_set().empty()) {
        const auto before = protocol::read_central_set(as_bytes(present.central_set()));
        if (!before)
            throw Error(Reason::storage_failed, "the central system's keys in the files are damaged");
        const auto newer = protocol::supersedes(*update, *before);
        if (!newer)
            return newer.refusal();
        if (!*newer)
            return std::optional<lifecycle::Personalization>();
    }
    present.set_central_set(to_string(set));
    return std::optional(std::move(present));
}

} // namespace imprint::device
