// SPDX-License-Identifier: Apache-2.0
#include "daemon/lifecycle/state.h"

#include <array>

namespace imprint::lifecycle {

namespace {

struct Entry {
    State state;
    std::string_view name;
    std::string_view hint;
};

constexpr std::array table{
    Entry{State::blank, "blank", "Personalize it at a station of its manufacturer."},
    Entry{State::personalization, "personalization",
          "Personalize it at a station; if that is done, EnterOperating switches it."},
    Entry{State::operating, "operating", "It serves its owner; EnterPersonalization ends that and its module key."},
    Entry{State::recovered, "recovered", "The keys of the data package are back; personalize it for a new module key."},
    Entry{State::tpm_cleared, "tpm-cleared",
          "Recover brings back the keys from the archive; EnterPersonalization gives them up."},
    Entry{State::epoch_deleted, "epoch-deleted",
          "Recover brings back the keys from the archive; EnterPersonalization gives them up."},
    Entry{State::epoch_foreign, "epoch-foreign",
          "Configure another handle for the epoch counter, or undefine what stands there."},
    Entry{State::tpm_replaced, "tpm-replaced",
          "Move the disk back to its board, or remove the files and recover this board's own."},
    Entry{State::disk_lost, "disk-lost",
          "Recover brings back everything from the archive; EnterPersonalization gives it up."},
    Entry{State::disk_rolled_back, "disk-rolled-back",
          "Recover brings back the present files from the archive; EnterPersonalization gives them up."},
    Entry{State::anchor_mismatch, "anchor-mismatch",
          "The read-only files may have been exchanged: restore them before anything else."},
    Entry{State::tpm_unavailable, "tpm-unavailable",
          "Check that /dev/tpmrm0 exists, the unit's device policy and the TPM setting."},
};

const Entry& entry(State state)
{
    const auto* found = std::ranges::find(table, state, &Entry::state);
    return found == table.end() ? table.back() : *found;
}

// The chip storage key comes from the endorsement seed and cannot be had without it; a certificate in NV can be copied
// to another TPM. So the key's Name decides wherever both sides have it.
bool same_chip(const tpm::Observation& tpm, const Files& files, std::string_view chip_identifier)
{
    if (!tpm.storage_key_name.empty() && !files.storage_key_name.empty())
        return equal(tpm.storage_key_name, files.storage_key_name);
    return files.chip_identifier == chip_identifier;
}

bool had_keys(const Files& files) { return files.recovered || !files.receipts.empty(); }

State without_counter(const tpm::Observation& tpm, const Files& files)
{
    if (!files.any)
        return State::blank;
    if (files.preparing)
        return had_keys(files) ? State::tpm_cleared : State::blank;
    return tpm.storage_key_name.empty() ? State::tpm_cleared : State::epoch_deleted;
}

State at_even_epoch(std::uint64_t epoch, const Files& files)
{
    const bool ready = std::ranges::count(files.receipts, epoch + 1) > 0;
    return files.recovered && !ready ? State::recovered : State::personalization;
}

State at_odd_epoch(std::uint64_t epoch, const Files& files)
{
    if (std::ranges::count(files.receipts, epoch) > 0)
        return State::operating;
    if (files.moving_past == epoch)
        return State::personalization;
    return had_keys(files) ? State::disk_rolled_back : State::disk_lost;
}

} // namespace

std::string_view name(State state) { return entry(state).name; }

std::string_view hint(State state) { return entry(state).hint; }

State judge(const tpm::Observation& tpm, const Files& files, std::string_view chip_identifier, BytesView anchor)
{
    using Epoch = tpm::Observation::Epoch;
    if (files.any && !same_chip(tpm, files, chip_identifier))
        return State::tpm_replaced;
    if (tpm.anchor && !anchor.empty() && !equal(*tpm.anchor, anchor))
        return State::anchor_mismatch;
    if (tpm.epoch_status == Epoch::foreign)
        return State::epoch_foreign;
    if (tpm.epoch_status == Epoch::undefined)
        return without_counter(tpm, files);
    // A preparation that a crash has cut short: its counter may stand at any value.
    if (files.preparing)
        return had_keys(files) ? State::tpm_cleared : State::blank;
    return tpm.epoch % 2 == 0 ? at_even_epoch(tpm.epoch, files) : at_odd_epoch(tpm.epoch, files);
}

} // namespace imprint::lifecycle
