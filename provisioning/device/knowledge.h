// SPDX-License-Identifier: Apache-2.0
// What the device knows of itself since the last look at its TPM, its files and its trust bundle.
#pragma once

#include "daemon/lifecycle/store.h"
#include "provisioning/device/device.h"
#include "provisioning/device/key_files.h"

namespace imprint::device {

struct Knowledge {
    tpm::Observation tpm;
    tpm::Capabilities capabilities;
    std::vector<tpm::EndorsementKey> endorsement_keys; // only where the files do not vouch for the chip
    lifecycle::Content files;
    std::string chip_identifier;
    // Of the trust bundle: what the TPM remembers, if the bundle proves that it led to its checking key; otherwise the
    // digest of that. Empty if the bundle cannot be read.
    Bytes anchor;
    lifecycle::State state = lifecycle::State::tpm_unavailable;
    Reason fault = Reason::tpm_unavailable; // in the state of this name: why
    std::vector<std::string> notes; // why the TPM or the bundle is of no use, and what else went wrong
    KeyFiles key_files; // as they were last brought in line

    std::uint64_t epoch() const { return tpm.epoch; }
    bool counting() const { return tpm.epoch_status == tpm::Observation::Epoch::counting; }
    // The complete personalization of the present odd or the coming epoch, or nullptr.
    const lifecycle::Personalization* current() const;
    // What is known of identity and keys: of the current personalization, else what is left of earlier ones.
    const lifecycle::Personalization* shown() const;
    // Whose keys may be used: operating or recovered; otherwise nullptr.
    const lifecycle::Personalization* in_use() const;
    // The notes, the damaged files and what is wrong with the key files, for people.
    std::string detail() const;
};

// Looks at everything; capabilities are taken over from `before` if they were asked already. A TPM or bundle that is
// not to be had shows in `state` and `detail`. Throws Error(storage_failed) if the state directory cannot be read.
Knowledge look(tpm::Worker& worker, const lifecycle::Store& store, const Settings& settings, const Knowledge& before);
// Reads the files again and judges anew by what was last seen of the TPM.
void reload(Knowledge& known, const lifecycle::Store& store);

Status status_of(const Knowledge& known);

// The digest of the bundle's history (pki::anchor_history) that `remembered` is, or the newest.
Bytes fitting_anchor(const std::vector<Bytes>& history, const std::optional<Bytes>& remembered);

// The read-only bundle. Throws Error(not_configured).
pki::Trust read_trust(const Settings& settings);

} // namespace imprint::device
