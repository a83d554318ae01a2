// SPDX-License-Identifier: Apache-2.0
// Endorsement keys: found by their certificates, at their persistent handles, or made from a template.
#include "daemon/structures/name.h"
#include "daemon/structures/templates.h"
#include "daemon/tpm/ek_certificate.h"
#include "daemon/tpm/rc.h"
#include "daemon/tpm/reference.h"
#include "daemon/tpm/security_module.h"

namespace imprint::tpm {

namespace {

// TCG EK Credential Profile.
constexpr TPM2_HANDLE first_certificate = 0x01C00000;
constexpr TPM2_HANDLE first_chain = 0x01C00100;
constexpr TPM2_HANDLE last_chain = 0x01C001FF;
constexpr TPM2_HANDLE first_persistent = 0x81010000;
constexpr TPM2_HANDLE last_persistent = 0x810100FF;
constexpr std::size_t certificate_limit = 16384;

std::optional<EndorsementKey> key_from(const structures::EkTemplate& shape, BytesView padded)
{
    auto certificate = parse_ek_certificate(padded);
    if (!certificate)
        return std::nullopt;
    const auto area = fill_in(shape.area, certificate->spki);
    if (!area)
        return std::nullopt;
    return EndorsementKey{structures::chip_identifier(certificate->spki), *area, std::move(certificate->der), {}};
}

std::optional<EndorsementKey> key_from(const TPMT_PUBLIC& area)
{
    const auto spki = structures::to_spki(area);
    if (!spki || !structures::ek_template_of(area))
        return std::nullopt;
    return EndorsementKey{structures::chip_identifier(*spki), area, {}, {}};
}

} // namespace

const std::vector<EndorsementKey>& SecurityModule::endorsement_keys()
{
    if (endorsement_keys_)
        return *endorsement_keys_;
    endorsement_keys_.emplace();
    try {
        add_certified_keys();
        if (endorsement_keys_->empty())
            add_persistent_keys();
        if (endorsement_keys_->empty())
            add_template_key();
    } catch (...) {
        endorsement_keys_.reset(); // a half-filled list is no answer
        throw;
    }
    return *endorsement_keys_;
}

Bytes SecurityModule::read_certificate(TPMI_RH_NV_INDEX index)
{
    auto object = look_up(connection_, index);
    if (!object)
        return {};
    const auto area = nv_public_of(connection_, object);
    const auto piece = std::min<std::size_t>(capabilities().nv_buffer_max, TPM2_MAX_NV_BUFFER_SIZE);
    constexpr TPMA_NV readable = TPMA_NV_AUTHREAD | TPMA_NV_WRITTEN;
    Bytes out;
    if ((area.attributes & readable) == readable && area.dataSize <= certificate_limit && piece > 0)
        out = read_index(connection_, object, area.dataSize, piece);
    forget(connection_, object);
    return out;
}

void SecurityModule::add_certified_keys()
{
    const auto present = handles(connection_, first_certificate, last_chain);
    for (const auto& shape : structures::ek_templates())
        if (std::ranges::find(present, shape.certificate) != present.end())
            if (auto key = key_from(shape, read_certificate(shape.certificate)))
                endorsement_keys_->push_back(std::move(*key));
    if (endorsement_keys_->empty())
        return;
    const auto chain = read_chain(present);
    for (auto& key : *endorsement_keys_)
        key.chain = chain;
}

// The indices hold the certificates of the chain one after the other, cut where an index is full.
std::vector<Bytes> SecurityModule::read_chain(const std::vector<TPM2_HANDLE>& present)
{
    Bytes all;
    for (const auto index : present)
        if (index >= first_chain) {
            const auto part = read_certificate(index);
            all.insert(all.end(), part.begin(), part.end());
        }
    return split_certificates(all);
}

const std::vector<Persistent>& SecurityModule::persistent_eks()
{
    if (!persistent_eks_) {
        std::vector<Persistent> found;
        for (const auto handle : handles(connection_, first_persistent, last_persistent))
            if (const auto object = look_up(connection_, handle))
                found.push_back(object);
        persistent_eks_ = std::move(found);
    }
    return *persistent_eks_;
}

void SecurityModule::add_persistent_keys()
{
    for (const auto& shape : structures::ek_templates())
        for (const auto& object : persistent_eks())
            if (auto key = key_from(public_of(connection_, object)))
                if (structures::ek_template_of(key->area) == &shape)
                    endorsement_keys_->push_back(std::move(*key));
}

void SecurityModule::add_template_key()
{
    const auto& algorithms = capabilities().algorithms;
    const auto* wanted = std::ranges::find(algorithms, "p256") != algorithms.end() ? "L-2" : "L-1";
    const auto shape = std::ranges::find(structures::ek_templates(), wanted, &structures::EkTemplate::name);
    TPMT_PUBLIC area{};
    create_primary(shape->area, area).flush();
    if (auto key = key_from(area))
        endorsement_keys_->push_back(std::move(*key));
}

} // namespace imprint::tpm
