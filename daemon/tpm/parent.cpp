// SPDX-License-Identifier: Apache-2.0
// The parent of key files at its persistent handle. It is a child of the chip storage key, and dies at TPM2_Clear.
#include "daemon/structures/child.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/tpm/reference.h"
#include "daemon/tpm/security_module.h"

namespace imprint::tpm {

void SecurityModule::persist_parent(BytesView object, BytesView sensitive)
{
    const auto area = structures::unmarshal<TPM2B_PUBLIC>(object).or_throw().publicArea;
    if (!structures::is_importable_parent(area))
        throw Error(Reason::tpm_refused, "what is to be the " + parent_.words + " is no such key");
    const Bytes name = structures::name_of(area);
    look_at(parent_);
    if (parent_.object && !parent_.is_ours(parent_.area))
        throw Error(Reason::tpm_handle_taken, "another key stands at the handle of the " + parent_.words);
    if (parent_.name == name)
        return;
    Transient loaded;
    {
        Work work(*this);
        work.last();
        loaded = work.load(object, sensitive);
    }
    if (parent_.object)
        evict(parent_);
    persist(parent_, loaded, name);
}

void SecurityModule::evict_parent()
{
    look_at(parent_);
    if (parent_.object && parent_.is_ours(parent_.area))
        evict(parent_);
}

// Whether the parent of this public area was there when we looked last, and still is. Whoever puts another one there
// afterwards is noticed by the TPM: the session's HMAC is over the Name.
bool SecurityModule::parent_stands(BytesView object)
{
    if (!parent_.object)
        return false;
    look_at(parent_);
    return parent_.object &&
        parent_.name == structures::name_of(structures::unmarshal<TPM2B_PUBLIC>(object).or_throw().publicArea);
}

Transient SecurityModule::Work::load_key_file(BytesView parent_object, BytesView parent_sensitive, BytesView object,
                                              BytesView sensitive)
{
    if (module_->parent_stands(parent_object))
        return load_under(module_->parent_.object.tr, object, sensitive);
    return load_child(load(parent_object, parent_sensitive), object, sensitive);
}

void SecurityModule::evict(Primary& key)
{
    auto session = authorize(ESYS_TR_RH_OWNER);
    ESYS_TR none = ESYS_TR_NONE;
    connection_.check(Esys_EvictControl(connection_.esys(), ESYS_TR_RH_OWNER, key.object.tr, session.tr(), ESYS_TR_NONE,
                                        ESYS_TR_NONE, key.handle, &none),
                      "evict the " + key.words);
    session.spent();
    forget(connection_, key.object); // ESYS would keep it, and take what stands there next for it
    key.area = {};
    key.name.clear();
}

} // namespace imprint::tpm
