// SPDX-License-Identifier: Apache-2.0
#include "backup/recovery/find.h"
#include "provisioning/device/chip.h"
#include "provisioning/device/impl.h"

namespace imprint::device {

namespace {

pki::Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

} // namespace

// The state tells, not the counter: where a preparation was cut short, that may stand at any value.
bool Device::Impl::lost_in_operation() const
{
    return known_.state == State::disk_lost || known_.state == State::disk_rolled_back;
}

// The record that the epoch counter demands: at an odd epoch only that epoch's own.
Device::Impl::Sequence Device::Impl::due() const
{
    return lost_in_operation() || known_.state == State::operating ? Sequence(known_.epoch()) : std::nullopt;
}

// Without a counter, or before a coming epoch, any earlier record of this chip gives the keys of its data package back.
// Which one is right then, the archive or somebody's choice has to say.
recovery::Wanted Device::Impl::wanted(Sequence chosen) const
{
    recovery::Wanted wanted;
    if (known_.files.chip || known_.endorsement_keys.empty())
        wanted.chips.push_back(known_.chip_identifier);
    else
        for (const auto& key : known_.endorsement_keys)
            wanted.chips.push_back(key.chip_identifier);
    wanted.sequence = due();
    if (wanted.sequence && chosen && *chosen != *wanted.sequence)
        throw Error(Reason::record_outdated,
                    "in epoch " + std::to_string(*wanted.sequence) + " only the record with this sequence is right");
    if (!wanted.sequence)
        wanted.sequence = chosen;
    return wanted;
}

std::size_t Device::Impl::key_of(const std::string& chip_identifier) const
{
    const auto found =
        std::ranges::find(known_.endorsement_keys, chip_identifier, &tpm::EndorsementKey::chip_identifier);
    return found == known_.endorsement_keys.end()
        ? 0
        : static_cast<std::size_t>(std::distance(known_.endorsement_keys.begin(), found));
}

package::Record Device::Impl::find(const std::string& archive, const recovery::Wanted& wants, const pki::Trust& trust,
                                   const tls::Cancel& cancel) const
{
    const auto deadline = std::chrono::steady_clock::now() + settings_.connect_timeout + settings_.message_timeout;
    return recovery::find_record(archive, wants, trust, now(), deadline, cancel).or_throw();
}

void Device::Impl::recover(const std::string& archive, Sequence sequence, const Progress& progress,
                           const tls::Cancel& cancel)
{
    require_recoverable("Recover");
    const auto trust = read_trust(settings_);
    progress(0, "asking the archive");
    use(find(archive, wanted(sequence), trust, cancel), trust, progress);
}

void Device::Impl::restore(BytesView bytes, Sequence sequence, const Progress& progress)
{
    require_recoverable("Restore");
    const auto trust = read_trust(settings_);
    progress(0, "checking the record");
    use(recovery::take_record(bytes, wanted(sequence), trust).or_throw(), trust, progress);
}

void Device::Impl::require_recoverable(const std::string& what) const
{
    // A device in the personalization state without any files: its disk was lost there.
    if (known_.state == State::personalization && known_.shown() == nullptr)
        return;
    require({State::blank, State::recovered, State::tpm_cleared, State::epoch_deleted, State::disk_lost,
             State::disk_rolled_back},
            what);
}

void Device::Impl::use(const package::Record& record, const pki::Trust& trust, const Progress& progress)
{
    if (lost_in_operation())
        use_whole(record, trust, progress);
    else
        use_data_keys(record, trust, progress);
    reload();
    progress(100, "recovered");
}

void Device::Impl::use_whole(const package::Record& record, const pki::Trust& trust, const Progress& progress)
{
    progress(30, "opening the backup package");
    auto chip = known_.files.chip ? *known_.files.chip
                                  : begin_chip(known_.endorsement_keys, key_of(record.content.chip_identifier()));
    const auto restored = worker_.call([&](tpm::SecurityModule& module) {
        if (module.read_epoch() != record.content.sequence())
            throw Error(Reason::epoch_mismatch, "the epoch counter was moved by somebody else");
        const tpm::SecurityModule::Trial trial(module);
        chip = finish_chip(std::move(chip), module);
        tpm::SecurityModule::Work work(module);
        return recovery::restore(module, work, record, true, trust, [](const auto&, const auto&) {}).or_throw();
    });
    // Somebody evicted our keys. With the anchor in place the counter stays as it is.
    if (known_.tpm.storage_key_name.empty() && known_.tpm.anchor)
        worker_.call([&](tpm::SecurityModule& module) { module.prepare(*known_.tpm.anchor); });
    progress(90, "storing the files");
    store_.save(chip);
    store_.save(recovery::file_of(restored, record.bytes, true));
    known_.endorsement_keys.clear();
    known_.chip_identifier = chip.chip_identifier();
}

// Of an epoch that the TPM has seen: the coming one's is personalized, but not switched.
void Device::Impl::require_past(const package::Record& record) const
{
    if (known_.counting() && record.content.sequence() > (known_.epoch() | 1))
        throw Error(Reason::record_invalid, "the record is of an epoch that this TPM has not seen yet");
}

// The keys are imported before the TPM is prepared, so that a record that is refused leaves no trace in it; what comes
// back can be loaded under the same storage key once it is persistent.
void Device::Impl::use_data_keys(const package::Record& record, const pki::Trust& trust, const Progress& progress)
{
    require_past(record);
    progress(20, "opening the backup package");
    const auto restored = worker_.call([&](tpm::SecurityModule& module) {
        const tpm::SecurityModule::Trial trial(module);
        tpm::SecurityModule::Work work(module);
        return recovery::restore(module, work, record, false, trust, [](const auto&, const auto&) {}).or_throw();
    });
    progress(60, "preparing the TPM");
    // Until the files are stored, what an earlier recovery left must not pass for this one's result.
    ensure_prepared(trust, record.content.chip_identifier(), Note::stays);
    require_past(record); // a new counter goes on above what the TPM has seen
    progress(90, "storing the files");
    store_.save_recovered(recovery::file_of(restored, record.bytes, true));
    end_preparation();
}

} // namespace imprint::device
