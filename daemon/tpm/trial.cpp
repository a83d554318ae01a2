// SPDX-License-Identifier: Apache-2.0
// What can be found out with keys that are not persistent: an unprepared TPM stays unprepared.
#include "daemon/structures/name.h"
#include "daemon/tpm/security_module.h"

namespace imprint::tpm {

SecurityModule::Trial::Trial(SecurityModule& module)
    : storage_(module, module.storage_, Lent::Part::whole)
    , identity_(module, module.identity_, Lent::Part::public_area)
{
}

SecurityModule::Trial::Lent::Lent(SecurityModule& module, Primary& key, Part part)
    : key_(key)
{
    if (!key.object)
        module.look_at(key);
    if (key.object)
        return;
    made_ = module.create_primary(key.area_template(), key.area);
    lent_ = true;
    key.name = structures::name_of(key.area);
    if (part == Part::whole)
        key.object = {made_.tr()};
    else
        made_.flush();
}

SecurityModule::Trial::Lent::~Lent()
{
    if (!lent_)
        return;
    key_.object = {};
    key_.area = {};
    key_.name.clear();
}

} // namespace imprint::tpm
