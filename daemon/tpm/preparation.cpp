// SPDX-License-Identifier: Apache-2.0
// The one-time preparation. Every step looks first and does what is missing.
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/templates.h"
#include "daemon/tpm/reference.h"
#include "daemon/tpm/security_module.h"

#include <openssl/sha.h>

namespace imprint::tpm {

namespace {

TPMS_NV_PUBLIC anchor_index(TPMI_RH_NV_INDEX handle, bool written)
{
    TPMS_NV_PUBLIC index{};
    index.nvIndex = handle;
    index.nameAlg = TPM2_ALG_SHA256;
    index.attributes =
        TPMA_NV_OWNERWRITE | TPMA_NV_AUTHREAD | TPMA_NV_OWNERREAD | TPMA_NV_NO_DA | (written ? TPMA_NV_WRITTEN : 0);
    index.dataSize = SHA256_DIGEST_LENGTH;
    return index;
}

} // namespace

SecurityModule::AnchorStatus SecurityModule::anchor_status() const
{
    if (!anchor_.object)
        return AnchorStatus::undefined;
    const auto name = structures::name_of(anchor_.area);
    if (name == structures::name_of(anchor_index(anchor_.handle, true)))
        return AnchorStatus::written;
    return name == structures::name_of(anchor_index(anchor_.handle, false)) ? AnchorStatus::unwritten
                                                                            : AnchorStatus::foreign;
}

void SecurityModule::require_ours() const
{
    for (const auto* key : {&storage_, &identity_})
        if (key->object && !key->is_ours(key->area))
            throw Error(Reason::tpm_handle_taken, "another key stands at the handle of the " + key->words);
    if (anchor_status() == AnchorStatus::foreign)
        throw Error(Reason::tpm_handle_taken, "another index stands at the handle of the anchor");
}

std::uint64_t SecurityModule::prepare(BytesView anchor)
{
    const auto found = look();
    require_ours();
    if (found.epoch_status == Observation::Epoch::foreign)
        throw Error(Reason::tpm_handle_taken, "another index stands at the handle of the epoch counter");
    if (found.anchor && !equal(*found.anchor, anchor))
        throw Error(Reason::anchor_mismatch, "the TPM remembers another checking key");
    if (!counting() && anchor_.object)
        undefine(anchor_); // it comes back when the counter is even
    prepare_primary(storage_);
    prepare_primary(identity_);
    if (anchor_status() != AnchorStatus::written) {
        prepare_epoch();
        prepare_anchor(anchor);
    }
    return read_epoch();
}

void SecurityModule::replace_anchor(BytesView present, BytesView next)
{
    const auto found = look();
    require_ours();
    if (anchor_status() != AnchorStatus::written || !found.anchor || !equal(*found.anchor, present))
        throw Error(Reason::anchor_mismatch, "the TPM remembers another checking key");
    prepare_anchor(next);
}

Transient SecurityModule::create_primary(const TPMT_PUBLIC& area_template, TPMT_PUBLIC& area)
{
    const TPM2B_SENSITIVE_CREATE sensitive{};
    const TPM2B_PUBLIC in{0, area_template};
    const TPML_PCR_SELECTION pcrs{};
    make_room();
    auto session = authorize(ESYS_TR_RH_ENDORSEMENT);
    ESYS_TR handle = ESYS_TR_NONE;
    Received<TPM2B_PUBLIC> out;
    connection_.check(Esys_CreatePrimary(connection_.esys(), ESYS_TR_RH_ENDORSEMENT, session.tr(), ESYS_TR_NONE,
                                         ESYS_TR_NONE, &sensitive, &in, nullptr, &pcrs, &handle, out.out(), nullptr,
                                         nullptr, nullptr),
                      "create a primary key in the endorsement hierarchy");
    session.spent();
    area = out->publicArea;
    return {connection_, handle};
}

void SecurityModule::prepare_primary(Primary& key)
{
    if (key.object)
        return;
    TPMT_PUBLIC area{};
    const auto created = create_primary(key.area_template(), area);
    persist(key, created, structures::name_of(area));
}

void SecurityModule::persist(Primary& key, const Transient& loaded, const Bytes& name)
{
    auto session = authorize(ESYS_TR_RH_OWNER);
    Persistent persisted;
    connection_.check(Esys_EvictControl(connection_.esys(), ESYS_TR_RH_OWNER, loaded.tr(), session.tr(), ESYS_TR_NONE,
                                        ESYS_TR_NONE, key.handle, &persisted.tr),
                      "make the " + key.words + " persistent");
    session.spent();
    forget(connection_, persisted); // looked up again: what ESYS makes of an evicted object is a copy of the transient
    look_at(key);
    if (key.name != name || !key.is_ours(key.area))
        throw Error(Reason::tpm_intercepted, "the TPM shows another " + key.words + " than it was given");
}

void SecurityModule::define(Index& index, const TPMS_NV_PUBLIC& area)
{
    const TPM2B_AUTH empty{};
    const TPM2B_NV_PUBLIC in{0, area};
    auto session = authorize(ESYS_TR_RH_OWNER);
    connection_.check(Esys_NV_DefineSpace(connection_.esys(), ESYS_TR_RH_OWNER, session.tr(), ESYS_TR_NONE,
                                          ESYS_TR_NONE, &empty, &in, &index.object.tr),
                      "define an NV index");
    session.spent();
    index.area = area;
}

void SecurityModule::undefine(Index& index)
{
    auto session = authorize(ESYS_TR_RH_OWNER);
    connection_.check(Esys_NV_UndefineSpace(connection_.esys(), ESYS_TR_RH_OWNER, index.object.tr, session.tr(),
                                            ESYS_TR_NONE, ESYS_TR_NONE),
                      "undefine an NV index");
    session.spent();
    index.object = {}; // ESYS has forgotten it too
    index.area = {};
}

// The Name is final only after the first increment, and neither is the parity of its value given.
void SecurityModule::prepare_epoch()
{
    if (!epoch_.object)
        define(epoch_, structures::epoch_index(epoch_.handle, false));
    if (!counting())
        increment_epoch();
    epoch_.area = epoch_public_;
    while (read_epoch() % 2 != 0)
        increment_epoch();
}

void SecurityModule::prepare_anchor(BytesView anchor)
{
    if (!anchor_.object)
        define(anchor_, anchor_index(anchor_.handle, false));
    const auto data = structures::to_tpm2b<TPM2B_MAX_NV_BUFFER>(anchor);
    auto session = authorize(ESYS_TR_RH_OWNER);
    connection_.check(Esys_NV_Write(connection_.esys(), ESYS_TR_RH_OWNER, anchor_.object.tr, session.tr(), ESYS_TR_NONE,
                                    ESYS_TR_NONE, &data, 0),
                      "write the anchor");
    session.spent();
    anchor_.area = anchor_index(anchor_.handle, true);
}

} // namespace imprint::tpm
