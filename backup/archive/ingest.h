// SPDX-License-Identifier: Apache-2.0
// What the archive does with a record that a station hands in.
#pragma once

#include "backup/archive/store.h"
#include "backup/package/record.h"
#include "daemon/pki/key.h"

namespace imprint::archive {

// Who signs the receipts.
struct Signer {
    pki::Certificates chain; // own certificate first
    pki::Key key;
};

// The owner that a record's identity certificate names; Refusal(record_invalid) if it names none.
Result<Owner> owner_of(const package::Record& record);

// Checks both signatures and their chains, that the record is the one that was announced, and adds it. A record that
// is there already gets its stored receipt, whatever has expired since. The refusals of package::open_record and
// Store::add_all, and record_foreign for another chip or sequence.
Result<Added> ingest(Store& store, const pki::Trust& trust, const Signer& signer, const std::string& chip_identifier,
                     std::uint64_t sequence, BytesView record, pki::Time now);

// Checks the signature and its chain, that the statement is about the chip that was announced as the new one, and adds
// it; false: it was there already. The refusals of package::open_replacement and Store::add_replacement, and
// record_foreign for another chip.
Result<bool> ingest_replacement(Store& store, const pki::Trust& trust, const std::string& chip_identifier,
                                BytesView statement, pki::Time now);

// Whether a stored entry still proves itself: record, receipt and owner belong together, every signature holds and
// every chain did at its time.
Verdict verify(const Entry& entry, const pki::Trust& trust);
// The same for a replacement.
Verdict verify(const Replacement& replacement, const pki::Trust& trust);
// The same for a record and a receipt from wherever: the entry that the two of them prove.
Result<Entry> prove(const std::string& chip_identifier, std::uint64_t sequence, BytesView record, BytesView receipt,
                    const pki::Trust& trust);

} // namespace imprint::archive
