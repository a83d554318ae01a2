// SPDX-License-Identifier: Apache-2.0
#include "backup/archive/ingest.h"

#include "backup/package/receipt.h"
#include "backup/package/replacement.h"
#include "daemon/structures/name.h"

namespace imprint::archive {

namespace {

Bytes make_receipt(const Signer& signer, const Entry& entry)
{
    const pki::Certificates issuers(signer.chain.begin() + 1, signer.chain.end());
    return package::make_receipt(
        {entry.owner.chip_identifier, entry.sequence, package::record_digest(entry.record), entry.time},
        signer.chain.front(), signer.key.get(), issuers);
}

Result<Entry> checked(BytesView record, const pki::Trust& trust, std::optional<pki::Time> now,
                      const std::string& chip_identifier, std::uint64_t sequence)
{
    auto opened = package::open_record(record, trust, now);
    if (!opened)
        return opened.refusal();
    if (opened->content.chip_identifier() != chip_identifier || opened->content.sequence() != sequence)
        return Refusal{Reason::record_foreign, "the record is for another chip or sequence"};
    auto owner = owner_of(*opened);
    if (!owner)
        return owner.refusal();
    return Entry{*std::move(owner), sequence, {}, std::move(opened->bytes), {}};
}

} // namespace

Result<Owner> owner_of(const package::Record& record)
{
    auto identity = pki::device_identity(record.identity);
    if (!identity)
        return Refusal{Reason::record_invalid, "the identity certificate names no device"};
    return Owner{record.content.chip_identifier(), *std::move(identity),
                 structures::digest(TPM2_ALG_SHA256, record.identity.spki())};
}

Result<Added> ingest(Store& store, const pki::Trust& trust, const Signer& signer, const std::string& chip_identifier,
                     std::uint64_t sequence, BytesView record, pki::Time now)
{
    if (auto stored = store.find(chip_identifier, sequence); stored && equal(stored->record, record))
        return Added{false, std::move(stored->receipt)};
    auto entry = checked(record, trust, now, chip_identifier, sequence);
    if (!entry)
        return entry.refusal();
    entry->time = now;
    entry->receipt = make_receipt(signer, *entry);
    return store.add(*entry);
}

Result<bool> ingest_replacement(Store& store, const pki::Trust& trust, const std::string& chip_identifier,
                                BytesView statement, pki::Time now)
{
    if (const auto stored = store.replacement_by(chip_identifier); stored && equal(stored->statement, statement))
        return false;
    const auto opened = package::open_replacement(statement, trust, now);
    if (!opened)
        return opened.refusal();
    if (opened->present != chip_identifier)
        return Refusal{Reason::record_foreign, "the replacement is by another chip"};
    return store.add_replacement(
        {opened->former, opened->present, opened->identity, now, {statement.begin(), statement.end()}});
}

namespace {

Refusal foreign_receipt() { return {Reason::record_foreign, "the receipt is for another record"}; }

// When the archive accepted the entry, by its receipt.
Result<pki::Time> check_receipt(BytesView receipt_bytes, const Entry& entry, const pki::Trust& trust)
{
    const auto receipt = package::open_receipt(receipt_bytes, trust, std::nullopt);
    if (!receipt)
        return receipt.refusal();
    if (receipt->chip_identifier != entry.owner.chip_identifier || receipt->sequence != entry.sequence ||
        receipt->record_digest != package::record_digest(entry.record))
        return foreign_receipt();
    return receipt->time;
}

} // namespace

Verdict verify(const Replacement& replacement, const pki::Trust& trust)
{
    const auto opened = package::open_replacement(replacement.statement, trust, std::nullopt);
    if (!opened)
        return opened.refusal();
    if (opened->former != replacement.former || opened->present != replacement.present ||
        opened->identity != replacement.identity)
        return Refusal{Reason::record_foreign, "the replacement is of other chips, or of another device"};
    return accepted();
}

Verdict verify(const Entry& entry, const pki::Trust& trust)
{
    const auto found = checked(entry.record, trust, std::nullopt, entry.owner.chip_identifier, entry.sequence);
    if (!found)
        return found.refusal();
    if (found->owner != entry.owner)
        return Refusal{Reason::record_foreign, "the record's identity is not the one that the chip is known by"};
    if (entry.digest != package::record_digest(entry.record))
        return Refusal{Reason::record_invalid, "the digest that is kept of the record is not the record's"};
    const auto time = check_receipt(entry.receipt, entry, trust);
    if (!time)
        return time.refusal();
    return *time == entry.time ? accepted() : Verdict(foreign_receipt());
}

Result<Entry> prove(const std::string& chip_identifier, std::uint64_t sequence, BytesView record, BytesView receipt,
                    const pki::Trust& trust)
{
    auto found = checked(record, trust, std::nullopt, chip_identifier, sequence);
    if (!found)
        return found;
    const auto time = check_receipt(receipt, *found, trust);
    if (!time)
        return time.refusal();
    found->time = *time;
    found->receipt.assign(receipt.begin(), receipt.end());
    return found;
}

} // namespace imprint::archive
