// SPDX-License-Identifier: Apache-2.0
#include "backup/recovery/restore.h"

#include "backup/package/opaque_secret.h"
#include "backup/recovery/certificates.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "provisioning/protocol/central_set.h"

namespace imprint::recovery {

namespace {

structures::Importable importable(const auto& part)
{
    return {to_bytes(part.object()), to_bytes(part.duplicate()), to_bytes(part.seed())};
}

pki::Time time_of(const package::RecordContent& content) { return pki::Time(std::chrono::seconds(content.time())); }

Result<TPMT_PUBLIC> area_of(std::string_view object)
{
    const auto sized = structures::unmarshal<TPM2B_PUBLIC>(as_bytes(object));
    if (!sized)
        return Refusal{Reason::record_invalid, "the module key in the record cannot be read"};
    return sized->publicArea;
}

// The loadable form of the record's secret.
Result<Bytes> import_secret(tpm::SecurityModule::Work& work, const structures::Importable& sealed)
{
    try {
        return work.import(sealed);
    } catch (const Error& error) {
        if (error.reason() != Reason::tpm_refused)
            throw;
        return Refusal{Reason::record_foreign, "the secret in the record was not sealed for this TPM"};
    }
}

// The module certificate in the backup is for the module key beside it, of this TPM and of the record's epoch.
Verdict check_module_key(tpm::SecurityModule& module, const package::Record& record, const package::DevicePart& device,
                         const pki::Trust& trust)
{
    const auto certificate = pki::Certificate::from_der(as_bytes(device.module_certificate()));
    if (!certificate)
        return Refusal{Reason::record_invalid, "the module certificate in the record cannot be read"};
    const auto area = area_of(device.module_object());
    if (!area)
        return area.refusal();
    pki::Certificates issuers;
    for (const auto& der : device.certificates())
        if (auto issuer = pki::Certificate::from_der(as_bytes(der)))
            issuers.push_back(*std::move(issuer));
    const auto found = pki::module_binding(*certificate);
    const pki::ModuleBinding expected{found ? found->nonce : Bytes{}, record.content.sequence(),
                                      module.epoch_index_name(), structures::name_of(module.storage_key()),
                                      record.content.chip_identifier()};
    const auto chain = check_module_certificate(*certificate, issuers, trust, *area, expected, time_of(record.content));
    return chain ? accepted() : chain.refusal();
}

// Its chain was checked when the device accepted it; the station's certificates may have ended since.
Verdict check_central_set(const package::DevicePart& device)
{
    if (device.central_set().empty() || protocol::read_central_set(as_bytes(device.central_set())))
        return accepted();
    return Refusal{Reason::record_invalid, "the central system's keys in the record cannot be read"};
}

// What the TPM gives out has to open what is enveloped beside it: a secret that nobody could ever read is not
// recovered.
Verdict check_enveloped(tpm::SecurityModule::Work& work, const tpm::Transient& object, const package::Entry& entry,
                        const package::DataPackage& package)
{
    const Secret secret = work.unseal_data(object);
    const auto opened = package::open_secret(as_bytes(entry.enveloped()), secret,
                                             {package.chip_identifier(), package.sequence(), entry.label()});
    if (opened)
        return accepted();
    return Refusal{opened.refusal().reason,
                   "the secret " + entry.label() + " cannot be opened: " + opened.refusal().detail};
}

lifecycle::Parent import_parent(tpm::SecurityModule::Work& work, const package::Parent& parent)
{
    lifecycle::Parent imported;
    imported.set_object(parent.object());
    imported.set_sensitive(to_string(work.import(importable(parent))));
    return imported;
}

// As the files have it; what is to be imported lacks its sensitive area yet.
lifecycle::DataKey described(const package::Entry& entry)
{
    lifecycle::DataKey key;
    key.set_label(entry.label());
    key.set_object(entry.object());
    key.set_sensitive(entry.sensitive());
    key.set_certificate(entry.certificate());
    if (entry.has_enveloped())
        key.set_enveloped(entry.enveloped());
    key.set_key_file(entry.has_sensitive());
    return key;
}

tpm::Transient load(tpm::SecurityModule::Work& work, const tpm::Transient& parent, const lifecycle::DataKey& key)
{
    const auto object = as_bytes(key.object()), sensitive = as_bytes(key.sensitive());
    return key.key_file() ? work.load_child(parent, object, sensitive) : work.load(object, sensitive);
}

// Its epoch is gone: it could never sign again.
void clear_module_key(package::DevicePart& device)
{
    device.clear_module_object();
    device.clear_module_sensitive();
    device.clear_module_certificate();
    device.clear_central_set(); // nobody to connect to the central system
}

} // namespace

Result<package::Record> check_record(BytesView bytes, const Wanted& wanted, const pki::Trust& trust)
{
    auto record = package::open_record(bytes, trust, std::nullopt);
    if (!record)
        return record;
    const auto& content = record->content;
    if (std::ranges::count(wanted.chips, content.chip_identifier()) == 0)
        return Refusal{Reason::record_foreign, "the record belongs to chip " + content.chip_identifier()};
    if (wanted.sequence && content.sequence() != *wanted.sequence)
        return Refusal{Reason::record_outdated,
                       "the record has sequence " + std::to_string(content.sequence()) + ", this device needs " +
                           std::to_string(*wanted.sequence)};
    return record;
}

Result<package::BackupContent> open_backup(tpm::SecurityModule::Work& work, const package::RecordContent& content)
{
    const auto sealed = importable(content.sealed_secret());
    const auto sensitive = import_secret(work, sealed);
    if (!sensitive)
        return sensitive.refusal();
    Secret secret;
    {
        const auto object = work.load(sealed.object, *sensitive);
        secret = work.unseal(object);
    }
    return package::open(as_bytes(content.backup_package()), secret, content.chip_identifier(), content.sequence());
}

Result<ImportedKeys> import_keys(tpm::SecurityModule::Work& work, const package::DataPackage& package,
                                 const OnLoaded& on_loaded)
{
    ImportedKeys imported;
    tpm::Transient parent;
    if (package.has_parent()) {
        imported.parent = import_parent(work, package.parent());
        parent = work.load(as_bytes(imported.parent->object()), as_bytes(imported.parent->sensitive()));
    }
    for (const auto& entry : package.entries()) {
        auto key = described(entry);
        if (!entry.has_sensitive())
            key.set_sensitive(to_string(work.import(importable(entry))));
        const auto object = load(work, parent, key);
        on_loaded(entry.label(), object);
        if (entry.has_enveloped())
            if (const auto verdict = check_enveloped(work, object, entry, package); !verdict)
                return verdict.refusal();
        imported.keys.push_back(std::move(key));
    }
    return imported;
}

void load_module_key(tpm::SecurityModule::Work& work, const package::DevicePart& device, const OnLoaded& on_loaded)
{
    work.last();
    on_loaded({}, work.load(as_bytes(device.module_object()), as_bytes(device.module_sensitive())));
}

Result<Restored> restore(tpm::SecurityModule& module, tpm::SecurityModule::Work& work, const package::Record& record,
                         bool with_module_key, const pki::Trust& trust, const OnLoaded& on_loaded)
{
    if (!structures::same_key(module.identity_key(), record.identity.spki()))
        return Refusal{Reason::key_mismatch, "the record's identity key is not this TPM's"};
    auto backup = open_backup(work, record.content);
    if (!backup)
        return backup.refusal();
    auto data = package::parse_data_package(as_bytes(backup->data_package()), record.content.chip_identifier(),
                                            record.content.sequence());
    if (!data)
        return data.refusal();
    if (with_module_key) {
        if (const auto verdict = check_module_key(module, record, backup->device(), trust); !verdict)
            return verdict.refusal();
        if (const auto verdict = check_central_set(backup->device()); !verdict)
            return verdict.refusal();
    }
    auto imported = import_keys(work, *data, on_loaded);
    if (!imported)
        return imported.refusal();
    if (with_module_key)
        load_module_key(work, backup->device(), on_loaded);
    else
        clear_module_key(*backup->mutable_device());
    return Restored{*std::move(backup), *std::move(data), *std::move(imported)};
}

lifecycle::Personalization file_of(const Restored& restored, BytesView record, bool receipt)
{
    const auto& device = restored.backup.device();
    lifecycle::Personalization file;
    file.set_chip_identifier(restored.backup.chip_identifier());
    file.set_sequence(restored.backup.sequence());
    file.set_identity_kind(restored.data.identity_kind());
    file.set_identity_value(restored.data.identity_value());
    file.set_identity_certificate(device.identity_certificate());
    if (device.has_module_object()) {
        file.mutable_module_key()->set_object(device.module_object());
        file.mutable_module_key()->set_sensitive(device.module_sensitive());
        file.mutable_module_key()->set_certificate(device.module_certificate());
    }
    *file.mutable_certificates() = device.certificates();
    file.set_central_set(device.central_set());
    if (restored.imported.parent)
        *file.mutable_parent() = *restored.imported.parent;
    file.mutable_keys()->Assign(restored.imported.keys.begin(), restored.imported.keys.end());
    file.set_record(to_string(record));
    file.set_receipt(receipt);
    return file;
}

} // namespace imprint::recovery
