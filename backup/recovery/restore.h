// SPDX-License-Identifier: Apache-2.0
// From a record back to keys that work: what a recovery does, and what a device does at its personalization to prove
// that a recovery will work. The numbers in brackets are TPM commands.
#pragma once

#include "backup/package/backup_package.h"
#include "backup/package/record.h"
#include "daemon/lifecycle/store.h"

#include <functional>

namespace imprint::recovery {

// Which records this device can use.
struct Wanted {
    std::vector<std::string> chips; // identifiers of this TPM, the preferred one first
    std::optional<std::uint64_t> sequence; // exactly this one; without it any will do (for the data keys alone)
};

// The record, its signatures and chains checked at the time of the station's signature. Otherwise a Refusal:
// record_invalid, signature_invalid, a chain's reason, record_foreign (another chip), record_outdated (sequence).
Result<package::Record> check_record(BytesView bytes, const Wanted& wanted, const pki::Trust& trust);

// Unseals the secret inside the TPM and opens the backup package with it. [9]
Result<package::BackupContent> open_backup(tpm::SecurityModule::Work& work, const package::RecordContent& content);

// Sees each object while it is loaded; the module key's label is empty.
using OnLoaded = std::function<void(const std::string& label, const tpm::Transient& object)>;

// What is loadable for as long as the TPM is not cleared.
struct ImportedKeys {
    std::optional<lifecycle::Parent> parent; // of the keys that may leave as files
    std::vector<lifecycle::DataKey> keys;
};
// Imports and loads every key of the data package and opens every opaque secret; what is under a parent is loaded as it
// came, and the parent itself imported once. Refusal(package_invalid) for a secret that cannot be opened. [7 a key and
// for the parent, 8 an opaque secret, 2 a key under the parent]
Result<ImportedKeys> import_keys(tpm::SecurityModule::Work& work, const package::DataPackage& package,
                                 const OnLoaded& on_loaded);
// Loads the module key, by the last use of `work`. [4]
void load_module_key(tpm::SecurityModule::Work& work, const package::DevicePart& device, const OnLoaded& on_loaded);

// What a record gives back: everything, or without the module key the data keys alone.
struct Restored {
    package::BackupContent backup;
    package::DataPackage data;
    ImportedKeys imported;
};

// Brings back what the record holds, after a check that it is this TPM's: its identity key, and for the module key the
// epoch. Ends `work` with the module key. Nothing is written. [9, what import_keys() costs, 4 for the module key]
Result<Restored> restore(tpm::SecurityModule& module, tpm::SecurityModule::Work& work, const package::Record& record,
                         bool with_module_key, const pki::Trust& trust, const OnLoaded& on_loaded);

// The file of it. `record` with both signatures: receipt is true.
lifecycle::Personalization file_of(const Restored& restored, BytesView record, bool receipt);

} // namespace imprint::recovery
