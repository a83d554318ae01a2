// SPDX-License-Identifier: Apache-2.0
// The epoch counter.
#include "daemon/tpm/reference.h"
#include "daemon/tpm/security_module.h"

namespace imprint::tpm {

std::uint64_t SecurityModule::read_epoch()
{
    epoch();
    std::uint64_t value = 0;
    for (const auto byte : read_index(connection_, epoch_.object, epoch_public_.dataSize, epoch_public_.dataSize))
        value = value << 8 | byte;
    return value;
}

HierarchySession SecurityModule::authorize(ESYS_TR hierarchy)
{
    const auto& auth = hierarchy == ESYS_TR_RH_OWNER ? settings_.owner_auth : settings_.endorsement_auth;
    if (auth.empty())
        return {connection_, hierarchy, auth, ESYS_TR_NONE};
    if (storage_.object)
        return {connection_, hierarchy, auth, storage()};
    return {connection_, hierarchy, auth, create_null_salt_key(connection_).tr()};
}

void SecurityModule::increment_epoch()
{
    make_room(); // what is loaded is dead from now on
    if (!epoch_.object)
        look_at(epoch_);
    auto session = authorize(ESYS_TR_RH_OWNER);
    connection_.check(Esys_NV_Increment(connection_.esys(), ESYS_TR_RH_OWNER, epoch_.object.tr, session.tr(),
                                        ESYS_TR_NONE, ESYS_TR_NONE),
                      "increment the epoch counter");
    session.spent();
}

} // namespace imprint::tpm
