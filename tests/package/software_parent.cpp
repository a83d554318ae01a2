// SPDX-License-Identifier: Apache-2.0
#include "tests/package/software_parent.h"

namespace imprint::test {

SoftwareParent::SoftwareParent()
    : area_(structures::importable_parent(key_.x(), key_.y()))
    , seed_(structures::make_parent_seed())
{
}

package::Parent SoftwareParent::wrapped_for(const TPMT_PUBLIC& storage_key) const
{
    const auto wrapped = structures::wrap_parent(storage_key, area_, key_.scalar(), seed_);
    package::Parent parent;
    parent.set_object(to_string(wrapped.object));
    parent.set_duplicate(to_string(wrapped.duplicate));
    parent.set_seed(to_string(wrapped.seed));
    return parent;
}

package::Entry SoftwareParent::child(const std::string& label, const TPMT_PUBLIC& object, const Secret& value) const
{
    const auto made = structures::make_child(area_, seed_, object, value);
    package::Entry entry;
    entry.set_label(label);
    entry.set_object(to_string(made.object));
    entry.set_sensitive(to_string(made.sensitive));
    return entry;
}

package::Entry SoftwareParent::child(const std::string& label) const
{
    const structures::SoftwareKey key;
    return child(label, structures::importable_ecc_key(key.x(), key.y(), {}), key.scalar());
}

} // namespace imprint::test
