// SPDX-License-Identifier: Apache-2.0
#include "daemon/pki/cross.h"

#include "daemon/pki/handles.h"
#include "daemon/pki/profile_asn1.h"
#include "daemon/pki/verify.h"

namespace imprint::pki {

namespace {

Refusal invalid(const std::string& detail)
{
    return {Reason::cross_certificate_invalid, "the central system's certificate for the station " + detail};
}

} // namespace

Verdict check_cross_certificate(const Certificate& cross, const Certificate& station, const Certificate& central,
                                Time now)
{
    if (cross.spki() != station.spki())
        return invalid("is for another key");
    if (!signed_by(cross, central))
        return invalid("is not signed by the central system's key");
    if (!cross.has_extended_key_usage(certified_station_oid) || X509_check_ca(cross.x509()) != 0)
        return invalid("is for something else");
    if (now < cross.not_before() || now > cross.not_after())
        return invalid("is out of its time");
    return accepted();
}

} // namespace imprint::pki
