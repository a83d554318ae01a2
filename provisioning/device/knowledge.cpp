// SPDX-License-Identifier: Apache-2.0
#include "provisioning/device/knowledge.h"

#include "provisioning/device/chip.h"
#include "provisioning/device/operating.h"

namespace imprint::device {

namespace {

constexpr std::size_t max_bundle = 1024 * 1024;

// The files' storage key stands in the TPM: no need to read the endorsement keys, which is slow.
bool vouched_for(const Knowledge& known)
{
    return known.files.chip && !known.tpm.storage_key_name.empty() &&
        as_text(known.tpm.storage_key_name) == known.files.chip->storage_key_name();
}

// The identifier that the files know, if one of this TPM's keys has it; otherwise that of the preferred key.
std::string identifier(const Knowledge& known)
{
    const auto files = lifecycle::summary(known.files);
    if (vouched_for(known))
        return files.chip_identifier;
    for (const auto& key : known.endorsement_keys)
        if (key.chip_identifier == files.chip_identifier)
            return key.chip_identifier;
    return known.endorsement_keys.empty() ? std::string() : known.endorsement_keys.front().chip_identifier;
}

bool lists(const std::vector<tpm::EndorsementKey>& keys, const std::string& chip_identifier)
{
    return std::ranges::count(keys, chip_identifier, &tpm::EndorsementKey::chip_identifier) > 0;
}

void look_at_tpm(Knowledge& known, tpm::SecurityModule& module)
{
    // Also to nothing: whoever removes another chip's files is not to wait for a restart.
    module.pin_storage_key(known.files.chip ? to_bytes(known.files.chip->storage_key_name()) : Bytes());
    known.tpm = module.look();
    if (known.capabilities.vendor.empty())
        known.capabilities = module.capabilities();
    if (vouched_for(known))
        return;
    known.endorsement_keys = module.endorsement_keys();
    if (known.files.chip && !lists(known.endorsement_keys, known.files.chip->chip_identifier()))
        if (auto key = chosen_key(*known.files.chip); module.has(key))
            known.endorsement_keys.insert(known.endorsement_keys.begin(), std::move(key));
}

void judge_anew(Knowledge& known)
{
    known.state = lifecycle::judge(known.tpm, lifecycle::summary(known.files), known.chip_identifier, known.anchor);
}

void fill(Status& status, const lifecycle::Personalization& file)
{
    status.identity_kind = file.identity_kind();
    status.identity_value = file.identity_value();
    status.identity_certificate = to_bytes(file.identity_certificate());
    for (const auto& key : file.keys())
        status.keys.push_back(key.label());
}

} // namespace

const lifecycle::Personalization* Knowledge::current() const
{
    return counting() ? files.complete(epoch() | 1) : nullptr;
}

const lifecycle::Personalization* Knowledge::shown() const
{
    const auto* file = current();
    if (file == nullptr && files.recovered)
        return &*files.recovered;
    return file != nullptr ? file : files.newest();
}

const lifecycle::Personalization* Knowledge::in_use() const
{
    if (state == lifecycle::State::recovered)
        return &files.recovered.value();
    return state == lifecycle::State::operating ? current() : nullptr;
}

std::string Knowledge::detail() const
{
    std::string text;
    for (const auto* sentences : {&notes, &files.damaged, &key_files.problems})
        for (const auto& sentence : *sentences)
            text += (text.empty() ? "" : "; ") + sentence;
    return text;
}

Knowledge look(tpm::Worker& worker, const lifecycle::Store& store, const Settings& settings, const Knowledge& before)
{
    Knowledge known;
    known.capabilities = before.capabilities;
    known.files = store.load();
    std::vector<Bytes> history;
    try {
        history = pki::anchor_history(read_trust(settings));
    } catch (const Error& error) {
        known.notes.emplace_back(error.what());
    }
    try {
        worker.call([&](tpm::SecurityModule& module) { look_at_tpm(known, module); });
        known.anchor = fitting_anchor(history, known.tpm.anchor);
        if (!history.empty() && known.anchor != history.front())
            known.notes.emplace_back("the trust bundle has a newer checking key; AdoptRoot makes the TPM remember it");
        known.chip_identifier = identifier(known);
        judge_anew(known);
    } catch (const Error& error) {
        known.state = lifecycle::State::tpm_unavailable;
        known.fault = error.reason();
        known.chip_identifier = lifecycle::summary(known.files).chip_identifier;
        known.notes.emplace_back(error.what());
    }
    return known;
}

Bytes fitting_anchor(const std::vector<Bytes>& history, const std::optional<Bytes>& remembered)
{
    if (history.empty())
        return {};
    return remembered && std::ranges::count(history, *remembered) > 0 ? *remembered : history.front();
}

void reload(Knowledge& known, const lifecycle::Store& store)
{
    known.files = store.load();
    judge_anew(known);
}

Status status_of(const Knowledge& known)
{
    Status status;
    status.state = known.state;
    status.epoch = known.epoch();
    status.chip_identifier = known.chip_identifier;
    if (const auto* current = known.current()) {
        status.module_certificate = to_bytes(current->module_key().certificate());
        for (const auto& certificate : module_chain(*current))
            status.certificate_chain.push_back(certificate.der());
    }
    if (const auto* shown = known.shown())
        fill(status, *shown);
    status.key_files = known.key_files.written;
    if (const auto* newest = known.files.newest())
        status.sequence = newest->sequence();
    status.ready_to_switch =
        known.state == lifecycle::State::personalization && known.current() != nullptr && known.epoch() % 2 == 0;
    status.tpm_vendor = known.capabilities.vendor;
    status.tpm_firmware = known.capabilities.firmware;
    status.detail = known.detail();
    return status;
}

pki::Trust read_trust(const Settings& settings)
{
    const auto pem = read_file(settings.trust_bundle, max_bundle);
    if (!pem)
        throw Error(Reason::not_configured, "there is no trust bundle at " + settings.trust_bundle.string());
    return pki::trust_from_pem(*pem);
}

} // namespace imprint::device
