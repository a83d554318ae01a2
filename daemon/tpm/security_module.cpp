// SPDX-License-Identifier: Apache-2.0
// What the module knows of its own objects, and what a look at the TPM shows.
#include "daemon/tpm/security_module.h"

#include "daemon/structures/child.h"
#include "daemon/structures/name.h"
#include "daemon/structures/templates.h"
#include "daemon/tpm/rc.h"
#include "daemon/tpm/reference.h"

#include <tss2/tss2_sys.h>

namespace imprint::tpm {

namespace {

// Only a TPM that is ours alone can hold leftovers that are ours.
bool has_resource_manager(const std::string& tcti)
{
    return tcti.empty() || tcti.starts_with("device:/dev/tpmrm") || tcti.starts_with("tabrmd");
}

} // namespace

SecurityModule::SecurityModule(Connection connection, Settings settings)
    : connection_(std::move(connection))
    , settings_(std::move(settings))
    , storage_{settings_.storage_key, structures::storage_key_template, structures::is_storage_key, "chip storage key"}
    , identity_{settings_.identity_key, structures::identity_key_template, structures::is_identity_key, "identity key"}
    , parent_{settings_.key_file_parent, nullptr, structures::is_importable_parent, "parent of key files"}
    , epoch_{settings_.epoch_index}
    , anchor_{settings_.anchor_index}
    , epoch_public_(structures::epoch_index(settings_.epoch_index, true))
{
    if (!has_resource_manager(settings_.tcti))
        flush_leftovers();
}

SecurityModule::~SecurityModule() = default;

void SecurityModule::flush_leftovers()
{
    auto leftovers = handles(connection_, TPM2_TRANSIENT_FIRST, TPM2_TRANSIENT_LAST);
    // Asked for loaded sessions, the TPM names the policy sessions among them by handles of their own range.
    const auto sessions = handles(connection_, TPM2_LOADED_SESSION_FIRST, TPM2_POLICY_SESSION_LAST);
    leftovers.insert(leftovers.end(), sessions.begin(), sessions.end());
    TSS2_SYS_CONTEXT* sys = nullptr; // ESYS wants to know an object before it flushes it, and cannot know all
    connection_.check(Esys_GetSysContext(connection_.esys(), &sys), "flush what a crash has left");
    for (const auto handle : leftovers)
        connection_.check(Tss2_Sys_FlushContext(sys, handle), "flush what a crash has left");
}

// A disabled hierarchy hides its objects: that must not look like a TPM that was cleared.
void SecurityModule::require_hierarchies()
{
    Received<TPMS_CAPABILITY_DATA> data;
    connection_.check(Esys_GetCapability(connection_.esys(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                         TPM2_CAP_TPM_PROPERTIES, TPM2_PT_STARTUP_CLEAR, 1, nullptr, data.out()),
                      "ask which hierarchies are enabled");
    const auto& list = data->data.tpmProperties;
    const auto enabled = list.count == 1 ? list.tpmProperty[0].value : 0;
    if (!(enabled & TPMA_STARTUP_CLEAR_EHENABLE))
        throw Error(Reason::tpm_hierarchy_disabled, "the endorsement hierarchy is disabled");
    if (!(enabled & TPMA_STARTUP_CLEAR_SHENABLE))
        throw Error(Reason::tpm_hierarchy_disabled, "the storage (owner) hierarchy is disabled");
}

void SecurityModule::look_at(Primary& key)
{
    if (key.object) {
        Received<TPM2B_PUBLIC> area;
        const auto rc = Esys_ReadPublic(connection_.esys(), key.object.tr, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                        area.out(), nullptr, nullptr);
        if (!is_missing(rc))
            connection_.check(rc, "read the public area of the " + key.words);
        if (rc == TSS2_RC_SUCCESS && structures::name_of(area->publicArea) == key.name)
            return;
        forget(connection_, key.object);
    }
    key.area = {};
    key.name = {};
    key.object = look_up(connection_, key.handle);
    if (!key.object)
        return;
    key.area = public_of(connection_, key.object);
    key.name = structures::name_of(key.area);
}

void SecurityModule::look_at(Index& index)
{
    forget(connection_, index.object);
    index.area = {};
    index.object = look_up(connection_, index.handle);
    if (index.object)
        index.area = nv_public_of(connection_, index.object);
}

Observation SecurityModule::look()
{
    look_at(storage_);
    look_at(identity_);
    look_at(epoch_);
    look_at(anchor_);
    if (!storage_.object || !identity_.object || !epoch_.object)
        require_hierarchies();

    Observation out;
    out.storage_key_name = storage_.name;
    out.identity_key_name = identity_.name;
    if (counting()) {
        out.epoch_status = Observation::Epoch::counting;
        out.epoch = read_epoch();
    } else if (epoch_.object &&
               structures::name_of(epoch_.area) != structures::name_of(structures::epoch_index(epoch_.handle, false)))
        out.epoch_status = Observation::Epoch::foreign;
    const auto anchor = anchor_status();
    if (anchor == AnchorStatus::written)
        out.anchor = read_index(connection_, anchor_.object, anchor_.area.dataSize, anchor_.area.dataSize);
    else if (anchor == AnchorStatus::foreign)
        out.anchor = Bytes{};
    return out;
}

bool SecurityModule::counting() const { return epoch_.object && structures::is_epoch_index(epoch_.area); }

ESYS_TR SecurityModule::require(Primary& key)
{
    if (!key.object)
        look_at(key);
    if (!key.object)
        throw Error(Reason::tpm_refused, "the " + key.words + " is not in the TPM");
    if (!key.is_ours(key.area))
        throw Error(Reason::tpm_handle_taken, "another key stands at the handle of the " + key.words);
    return key.object.tr;
}

ESYS_TR SecurityModule::storage()
{
    const auto tr = require(storage_);
    if (!pinned_.empty() && pinned_ != storage_.name)
        throw Error(Reason::tpm_intercepted, "the chip storage key is not the one that the files remember");
    return tr;
}

ESYS_TR SecurityModule::identity() { return require(identity_); }

ESYS_TR SecurityModule::epoch()
{
    if (!epoch_.object)
        look_at(epoch_);
    if (!epoch_.object)
        throw Error(Reason::tpm_refused, "the epoch counter is not in the TPM");
    if (!counting())
        throw Error(Reason::tpm_handle_taken, "another index stands at the handle of the epoch counter");
    return epoch_.object.tr;
}

const TPMT_PUBLIC& SecurityModule::storage_key()
{
    storage();
    return storage_.area;
}

const TPMT_PUBLIC& SecurityModule::identity_key()
{
    if (identity_.object || identity_.name.empty()) // otherwise a trial lends the public area alone
        identity();
    return identity_.area;
}

Bytes SecurityModule::epoch_index_name() const { return structures::name_of(epoch_public_); }

} // namespace imprint::tpm
