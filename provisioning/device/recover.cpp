// SPDX-License-Identifier: Apache-2.0
#include "backup/recovery/fetch.h"
#include "provisioning/device/chip.h"
#include "provisioning/device/impl.h"

namespace imprint::device {

// The state tells, not the counter: where a preparation was cut short, that may stand at any value.
bool Device::Impl::lost_in_operation() const
{
    return known_.state == State::disk_lost || known_.state == State::disk_rolled_back;
}

// At an odd epoch only that epoch's own record is right. Without a counter, or before a coming epoch, any earlier
// record of this chip gives the keys of its data package back.
recovery::Wanted Device::Impl::wanted() const
{
    recovery::Wanted wanted;
    if (known_.files.chip || known_.endorsement_keys.empty())
        wanted.chips.push_back(known_.chip_identifier);
    else
        for (const auto& key : known_.endorsement_keys)
            wanted.chips.push_back(key.chip_identifier);
    if (lost_in_operation())
        wanted.sequence = known_.epoch();
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

void Device::Impl::recover(const std::string& archive, const Progress& progress, const tls::Cancel& cancel)
{
    require_recoverable("Recover");
    const auto trust = read_trust(settings_);
    const auto wants = wanted();
    progress(0, "asking the archive");
    const auto deadline = std::chrono::steady_clock::now() + settings_.connect_timeout + settings_.message_timeout;
    Result<Bytes> bytes = Refusal{Reason::record_not_found, "this TPM has no endorsement key to know it by"};
    for (const auto& chip : wants.chips) {
        bytes = recovery::fetch_record(archive, chip, wants.sequence, deadline, cancel);
        if (bytes)
            break;
    }
    const auto record = recovery::check_record(std::move(bytes).or_throw(), wants, trust).or_throw();
    use(record, trust, progress);
}

void Device::Impl::restore(BytesView bytes, const Progress& progress, const tls::Cancel&)
{
    require_recoverable("Restore");
    const auto trust = read_trust(settings_);
    progress(0, "checking the record");
    const auto record = recovery::check_record(bytes, wanted(), trust).or_throw();
    use(record, trust, progress);
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
        // Somebody evicted our keys. With the anchor in place the counter stays as it is.
        if (known_.tpm.storage_key_name.empty() && known_.tpm.anchor)
            module.prepare(*known_.tpm.anchor);
        if (module.read_epoch() != record.content.sequence())
            throw Error(Reason::epoch_mismatch, "the epoch counter was moved by somebody else");
        chip = finish_chip(std::move(chip), module);
        tpm::SecurityModule::Work work(module);
        return recovery::restore(module, work, record, true, trust, [](const auto&, const auto&) {}).or_throw();
    });
    progress(90, "storing the files");
    store_.save(chip);
    store_.save(recovery::file_of(restored, record.bytes, true));
    known_.endorsement_keys.clear();
    known_.chip_identifier = chip.chip_identifier();
}

void Device::Impl::use_data_keys(const package::Record& record, const pki::Trust& trust, const Progress& progress)
{
    progress(20, "preparing the TPM");
    // Until the keys are back, what an earlier recovery left must not pass for this one's result.
    ensure_prepared(trust, record.content.chip_identifier(), Note::stays);
    if (record.content.sequence() > (known_.epoch() | 1)) // the coming epoch's: personalized, but not switched
        throw Error(Reason::record_invalid, "the record is of an epoch that this TPM has not seen yet");
    progress(40, "opening the backup package");
    const auto restored = worker_.call([&](tpm::SecurityModule& module) {
        tpm::SecurityModule::Work work(module);
        return recovery::restore(module, work, record, false, trust, [](const auto&, const auto&) {}).or_throw();
    });
    progress(90, "storing the files");
    store_.save_recovered(recovery::file_of(restored, record.bytes, true));
    end_preparation();
}

} // namespace imprint::device
