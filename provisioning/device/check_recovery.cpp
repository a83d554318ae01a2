// SPDX-License-Identifier: Apache-2.0
// A recovery up to the point where it would begin to change something.
#include "backup/recovery/find.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "provisioning/device/impl.h"

#include <map>

namespace imprint::device {

namespace {

using Names = std::map<std::string, Bytes>; // by label; the module key's is empty

Bytes name_of(std::string_view object)
{
    const auto sized = structures::unmarshal<TPM2B_PUBLIC>(as_bytes(object));
    return sized ? structures::name_of(sized->publicArea) : Bytes();
}

// Of what the files have, all has to come back; they may lack a key that was added to the record since.
void require_same_keys(const lifecycle::Personalization& file, const Names& names,
                       const std::optional<lifecycle::Parent>& parent)
{
    const auto fail = [](const std::string& words) {
        throw Error(Reason::key_mismatch, "the record would not give back the " + words + " that the device has");
    };
    const auto require = [&](const std::string& label, const std::string& object, const std::string& words) {
        const auto found = names.find(label);
        if (found == names.end() || found->second != name_of(object))
            fail(words);
    };
    if (file.has_parent() && (!parent || name_of(parent->object()) != name_of(file.parent().object())))
        fail("parent of key files");
    for (const auto& key : file.keys())
        require(key.label(), key.object(), "key " + key.label());
    if (names.contains("") && file.has_module_key())
        require("", file.module_key().object(), "module key");
}

Recoverable describe(const recovery::Restored& restored, const package::RecordContent& content)
{
    Recoverable found;
    found.chip_identifier = content.chip_identifier();
    found.sequence = content.sequence();
    found.recorded = pki::Time(std::chrono::seconds(content.time()));
    found.identity_kind = restored.data.identity_kind();
    found.identity_value = restored.data.identity_value();
    for (const auto& key : restored.imported.keys)
        found.keys.push_back(key.label());
    found.operating = restored.backup.device().has_module_object();
    return found;
}

} // namespace

void Device::Impl::require_checkable(const std::string& what) const
{
    require({State::blank, State::personalization, State::operating, State::recovered, State::tpm_cleared,
             State::epoch_deleted, State::disk_lost, State::disk_rolled_back},
            what);
}

// Where there is a counter, the device's files may say which record is its newest outside an odd epoch, too.
recovery::Wanted Device::Impl::wanted_by_check(Sequence chosen) const
{
    auto wants = wanted(chosen);
    const auto* newest = known_.files.newest();
    if (!wants.sequence && known_.counting() && newest != nullptr)
        wants.sequence = newest->sequence();
    return wants;
}

Recoverable Device::Impl::check_recovery(const std::string& archive, Sequence sequence, const Progress& progress,
                                         const tls::Cancel& cancel)
{
    require_checkable("CheckRecovery");
    const auto trust = read_trust(settings_);
    progress(0, "asking the archive");
    return try_out(find(archive, wanted_by_check(sequence), trust, cancel), trust, progress);
}

Recoverable Device::Impl::check_restore(BytesView bytes, Sequence sequence, const Progress& progress)
{
    require_checkable("CheckRestore");
    const auto trust = read_trust(settings_);
    progress(0, "checking the record");
    return try_out(recovery::take_record(bytes, wanted_by_check(sequence), trust).or_throw(), trust, progress);
}

Recoverable Device::Impl::try_out(const package::Record& record, const pki::Trust& trust, const Progress& progress)
{
    require_past(record);
    progress(30, "opening the backup package");
    Names names;
    const auto restored = worker_.call([&](tpm::SecurityModule& module) {
        const tpm::SecurityModule::Trial trial(module);
        tpm::SecurityModule::Work work(module);
        return recovery::restore(
                   module, work, record, due().has_value(), trust,
                   [&](const std::string& label, const tpm::Transient& object) { names[label] = work.name(object); })
            .or_throw();
    });
    const auto* newest = known_.files.newest();
    if (newest != nullptr && newest->sequence() == record.content.sequence())
        require_same_keys(*newest, names, restored.imported.parent);
    progress(100, "recoverable");
    return describe(restored, record.content);
}

} // namespace imprint::device
