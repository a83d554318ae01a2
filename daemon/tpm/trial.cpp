// SPDX-License-Identifier: Apache-2.0
// What can be found out with keys that are not persistent: an unprepared TPM stays unprepared.
#include "daemon/structures/name.h"
#include "daemon/tpm/security_module.h"

namespace imprint::tpm {

SecurityModule::Trial::Trial(SecurityModule& module)
    : storage_(module, module.storage_)
    , identity_(module, module.identity_)
{
}

SecurityModule::Trial::Lent::Lent(SecurityModule& module, Primary& key)
    : key_(key)
{
    if (!key.object)
        module.look_at(key);
    if (key.object)
        return;
    made_ = module.create_primary(key.area_template(), key.area);
    key.name = structures::name_of(key.area);
    key.object = {made_.tr()};
}

SecurityModule::Trial::Lent::~Lent()
{
    if (made_.tr() == ESYS_TR_NONE)
        return;
    key_.object = {};
    key_.area = {};
    key_.name.clear();
}

} // namespace imprint::tpm
