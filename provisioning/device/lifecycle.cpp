// SPDX-License-Identifier: Apache-2.0
// The device's ways through its lifecycle: preparation, and the increments of the epoch counter that are its switches.
#include "provisioning/device/chip.h"
#include "provisioning/device/impl.h"

namespace imprint::device {

void Device::Impl::ensure_prepared(const pki::Trust& trust, const std::string& chip_identifier, Note note)
{
    auto chip = known_.files.chip;
    if (chip && !chip->preparing() && known_.counting() && !known_.tpm.storage_key_name.empty())
        return;
    if (!chip && known_.endorsement_keys.empty())
        throw Error(Reason::capability_missing, "this TPM has no endorsement key to know it by");
    if (!chip)
        chip = begin_chip(known_.endorsement_keys, key_of(chip_identifier));
    // Where there is no counter yet, its first increments are not switches: the note tells so after a crash.
    chip->set_preparing(chip->preparing() || !known_.counting());
    const bool noted = chip->preparing();
    if (noted)
        store_.save(*chip);
    const Bytes anchor = fitting_anchor(pki::anchor_history(trust), known_.tpm.anchor);
    worker_.call([&](tpm::SecurityModule& module) {
        module.prepare(anchor);
        chip = finish_chip(*chip, module);
        known_.tpm = module.look();
    });
    if (noted && note == Note::stays)
        chip->set_preparing(true);
    store_.save(*chip);
    known_.endorsement_keys.clear();
    known_.chip_identifier = chip->chip_identifier();
    reload();
}

void Device::Impl::end_preparation()
{
    auto chip = known_.files.chip.value();
    if (!chip.preparing())
        return;
    chip.clear_preparing();
    store_.save(chip);
}

void Device::Impl::require_epoch_as_known()
{
    const auto epoch = worker_.call([](tpm::SecurityModule& module) { return module.read_epoch(); });
    if (epoch != known_.epoch())
        throw Error(Reason::epoch_mismatch, "the epoch counter was moved by somebody else");
}

// One increment, after which the counter has to stand at `epoch`: nobody else may have moved it.
void Device::Impl::increment_to(std::uint64_t epoch)
{
    const auto value = worker_.call([](tpm::SecurityModule& module) {
        module.increment_epoch();
        return module.read_epoch();
    });
    known_.tpm.epoch = value;
    if (value != epoch)
        throw Error(Reason::epoch_mismatch,
                    "the epoch counter stands at " + std::to_string(value) + ", not " + std::to_string(epoch));
}

// The odd value in between is no operating state. The note tells so if a crash leaves the device there.
void Device::Impl::move_past(std::uint64_t odd_epoch)
{
    auto chip = known_.files.chip.value();
    chip.set_moving_past(odd_epoch);
    store_.save(chip);
    while (known_.epoch() <= odd_epoch)
        increment_to(known_.epoch() + 1);
    chip.clear_moving_past();
    store_.save(chip);
    reload();
}

void Device::Impl::switch_to_operating()
{
    const std::uint64_t odd_epoch = known_.epoch() + 1;
    increment_to(odd_epoch);
    try {
        store_.remove_dead(odd_epoch);
    } catch (const Error& error) {
        // The switch is made, and dead files do no harm: they go at the next one.
        known_.notes.emplace_back(error.what());
    }
    reload();
}

void Device::Impl::enter_operating(const Progress& progress)
{
    require({State::personalization}, "EnterOperating");
    require_intact_files();
    if (known_.epoch() % 2 != 0 || known_.current() == nullptr)
        throw Error(Reason::wrong_state, "there is no complete personalization to switch to: Personalize first");
    progress(0, "reading the epoch");
    require_epoch_as_known();
    progress(50, "switching to the operating state");
    switch_to_operating();
    progress(100, "operating");
}

// The read-only bundle alone is no reason to remember another checking key: the old one has to have signed it.
void Device::Impl::adopt_root(const Progress& progress)
{
    require({State::blank, State::personalization, State::operating, State::recovered, State::tpm_cleared,
             State::epoch_deleted, State::disk_lost, State::disk_rolled_back, State::anchor_mismatch},
            "AdoptRoot");
    const auto history = pki::anchor_history(read_trust(settings_));
    if (!known_.tpm.anchor)
        throw Error(Reason::wrong_state, "the TPM remembers no checking key yet: Personalize makes it do so");
    const Bytes present = *known_.tpm.anchor;
    if (std::ranges::count(history, present) == 0)
        throw Error(
            Reason::root_not_certified,
            "no certificate in the trust bundle leads from the checking key that the TPM remembers to the new one");
    progress(0, "remembering the checking key");
    if (present != history.front())
        worker_.call([&](tpm::SecurityModule& module) { module.replace_anchor(present, history.front()); });
    refresh();
    progress(100, "the TPM remembers the checking key of the trust bundle");
}

// They go before the increment, so that no crash after it leaves what the operating state has ended. A file that cannot
// be removed is of no use any more; a parent that cannot be evicted is.
void Device::Impl::withdraw_key_files()
{
    known_.key_files = device::align_key_files(worker_, settings_.key_file_directory, nullptr);
    if (known_.key_files.parent_fault)
        throw Error(*known_.key_files.parent_fault);
}

// What is damaged is given up: chip.pb can be made anew, and where a damaged file was that of the coming epoch, a
// record of that may exist.
void Device::Impl::give_up_damaged_files()
{
    const lifecycle::Content found = known_.files;
    ensure_prepared(read_trust(settings_), known_.chip_identifier, Note::ends);
    const auto coming = known_.epoch() | 1;
    if (std::ranges::count(found.damaged_sequences, coming) > 0)
        move_past(coming);
    store_.remove_damaged(found);
    reload();
}

void Device::Impl::enter_personalization(const Progress& progress)
{
    const bool damaged = !known_.files.damaged.empty();
    if (!damaged)
        require({State::operating, State::disk_lost, State::disk_rolled_back, State::tpm_cleared, State::epoch_deleted},
                "EnterPersonalization");
    else
        require({State::operating, State::disk_lost, State::disk_rolled_back, State::tpm_cleared, State::epoch_deleted,
                 State::blank, State::personalization, State::recovered},
                "EnterPersonalization");
    const bool switches =
        known_.state == State::operating || known_.state == State::disk_lost || known_.state == State::disk_rolled_back;
    if (switches) {
        progress(0, "switching to the personalization state");
        require_epoch_as_known();
        channels_.end({Reason::wrong_state, "the device goes back to the personalization state"});
        withdraw_key_files();
        increment_to(known_.epoch() + 1);
        reload();
    } else {
        progress(0, "preparing the TPM");
        if (known_.state == State::tpm_cleared)
            store_.remove_recovered();
        ensure_prepared(read_trust(settings_), known_.chip_identifier, Note::ends);
    }
    if (damaged)
        give_up_damaged_files();
    progress(100, "in the personalization state");
}

} // namespace imprint::device
