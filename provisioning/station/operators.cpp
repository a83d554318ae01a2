// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/operators.h"

#include "daemon/structures/name.h"

namespace imprint::station {

std::string_view name(Permission permission) { return permission == Permission::introduce ? "introduce" : "issue-tan"; }

bool may(const Operator& entry, Permission permission)
{
    return permission == Permission::introduce ? entry.may_introduce : entry.may_issue_tan;
}

void allow(Operator& entry, Permission permission)
{
    (permission == Permission::introduce ? entry.may_introduce : entry.may_issue_tan) = true;
}

std::string fingerprint_of(const pki::Certificate& certificate)
{
    return hex(structures::digest(TPM2_ALG_SHA256, certificate.der()));
}

Result<Operator> authorize(Store& store, const pki::Certificate& certificate, Permission permission)
{
    const auto entry = store.find_operator(fingerprint_of(certificate));
    if (!entry)
        return Refusal{Reason::operator_unknown, describe(certificate)};
    if (entry->revoked)
        return Refusal{Reason::operator_revoked, describe(certificate)};
    if (!may(*entry, permission))
        return Refusal{Reason::not_authorized, describe(certificate) + " may not " + std::string(name(permission))};
    return *entry;
}

std::string describe(const pki::Certificate& certificate)
{
    return "operator " + certificate.common_name() + " " + fingerprint_of(certificate);
}

} // namespace imprint::station
