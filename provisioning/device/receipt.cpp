// SPDX-License-Identifier: Apache-2.0
#include "provisioning/device/receipt.h"

#include "backup/package/record.h"
#include "daemon/structures/name.h"
#include "provisioning/protocol/framing.h"

namespace imprint::device {

namespace {

// What both signatures stand for. The file is our own: that it does not open is a fault of the disk.
Bytes content_of(const lifecycle::Personalization& pending)
{
    auto cms = pki::open_signed(as_bytes(pending.record()), package::max_record);
    if (!cms)
        throw Error(Reason::storage_failed, "the record of the pending personalization is damaged");
    return cms->content;
}

} // namespace

Result<lifecycle::Personalization> complete(lifecycle::Personalization pending, const protocol::Receipt& receipt,
                                            const pki::Trust& trust, const std::optional<pki::Certificate>& station)
{
    const auto record = package::open_record(as_bytes(receipt.record()), trust, std::nullopt);
    if (!record)
        return record.refusal();
    if (record->content_bytes != content_of(pending))
        return Refusal{Reason::record_invalid, "the receipt is for another record than the one sent"};
    if (station && record->station != station)
        return Refusal{Reason::key_mismatch, "the record was signed by another station than the one connected"};
    pending.set_record(receipt.record());
    pending.set_receipt(true);
    return pending;
}

Bytes resume_message(const lifecycle::Personalization& pending)
{
    protocol::Message message;
    auto& resume = *message.mutable_resume();
    resume.set_version(protocol::version);
    resume.set_chip_identifier(pending.chip_identifier());
    resume.set_sequence(pending.sequence());
    resume.set_content_digest(to_string(structures::digest(TPM2_ALG_SHA256, content_of(pending))));
    return protocol::serialize(message);
}

} // namespace imprint::device
