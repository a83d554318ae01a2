// SPDX-License-Identifier: Apache-2.0
// What state the device is in: judged from what the TPM shows and what the files say. No I/O.
#pragma once

#include "daemon/tpm/security_module.h"

#include <optional>
#include <string_view>

namespace imprint::lifecycle {

enum class State {
    blank, // no epoch counter, no files: never prepared
    personalization, // even epoch: takes what an authentic station gives it
    operating, // odd epoch with its files: the module key signs
    recovered, // even epoch, data keys back from the archive, but no module key of a coming epoch
    tpm_cleared, // files, same chip, but our objects and the counter are gone
    epoch_deleted, // files and our objects, but the counter is gone
    epoch_foreign, // something else stands at the counter's handle
    tpm_replaced, // the files belong to another chip
    disk_lost, // odd epoch without any files
    disk_rolled_back, // odd epoch with files of a dead epoch only
    anchor_mismatch, // the TPM remembers another checking key than the read-only files hold
    tpm_unavailable,
};
std::string_view name(State state); // "disk-rolled-back": the value of the D-Bus property
std::string_view hint(State state); // one sentence: what leads on from here

// What the files say (store.h reads it).
struct Files {
    bool any = false; // chip.pb exists
    std::string chip_identifier;
    Bytes storage_key_name;
    std::vector<std::uint64_t> receipts; // odd epochs whose personalization is complete (receipt and all)
    bool recovered = false; // data keys were imported from a record after TPM2_Clear
    bool preparing = false; // a preparation of the TPM has begun, and its end is not noted
    std::uint64_t moving_past = 0; // an odd epoch that the device is leaving without having operated in it; 0: none
};

// `chip_identifier`: of the TPM's chosen EK; empty if it was not read because the storage key's Name already matches.
State judge(const tpm::Observation& tpm, const Files& files, std::string_view chip_identifier, BytesView anchor);

} // namespace imprint::lifecycle
