// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/proof.h"

#include "daemon/protobuf/canonical.h"
#include "daemon/structures/child.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "provisioning/station/proof.pb.h"

#include <set>

namespace imprint::station {

namespace {

constexpr std::uint32_t version = 1;
constexpr std::size_t max_proof = 256 * 1024; // 65 keys with a certificate, an area and an attestation each

Refusal invalid(const std::string& detail) { return {Reason::record_invalid, "the proof " + detail}; }

Bytes granted_area(std::string_view object)
{
    return structures::marshal(structures::unmarshal<TPM2B_PUBLIC>(as_bytes(object)).or_throw().publicArea);
}

Bytes area_of(const Granted& granted, const std::string& label)
{
    if (label.empty())
        return structures::marshal(granted.module_key.area);
    for (const auto& entry : granted.package.entries())
        if (entry.label() == label)
            return granted_area(entry.object());
    throw Error(Reason::internal, "a key was proven that was not granted");
}

Result<KeptProof> parse(BytesView bytes)
{
    KeptProof proof;
    if (const auto verdict = protobuf::parse_canonical(proof, bytes, max_proof, Reason::record_invalid, "the proof");
        !verdict)
        return verdict.refusal();
    if (!protobuf::none_unknown(proof) || proof.version() != version)
        return invalid("has unknown fields or another version");
    return proof;
}

// The module certificate of the record's epoch, by the station that signed the record.
Result<pki::ModuleBinding> check_module(const pki::Certificate& certificate, const package::Record& record,
                                        const pki::Trust& trust)
{
    const auto binding = pki::module_binding(certificate);
    if (!binding || binding->chip_identifier != record.content.chip_identifier() ||
        binding->epoch != record.content.sequence())
        return Refusal{Reason::record_foreign, "the proof is of another chip or sequence"};
    pki::Certificates untrusted = record.identity_issuers;
    untrusted.push_back(record.station.value());
    const auto chain = pki::verify(certificate, untrusted, trust, pki::Role::module, certificate.not_before());
    if (!chain)
        return chain.refusal();
    return *binding;
}

struct Signer {
    TPMT_PUBLIC area;
    Bytes qualified_name;
};

// The record's own identity key.
Result<Signer> signer_of(const KeptProof& proof, const package::Record& record)
{
    const auto area = structures::unmarshal<TPMT_PUBLIC>(as_bytes(proof.identity_key()));
    if (!area || !structures::same_key(*area, record.identity.spki()))
        return Refusal{Reason::key_mismatch, "the proof is by another identity key"};
    return Signer{*area, structures::qualified_name_of_primary(TPM2_RH_ENDORSEMENT, *area)};
}

// The Qualified Names of what keys were loaded under.
struct Above {
    Bytes storage_key;
    Bytes parent; // of keys that may leave as files; empty where the package has none
};

Result<Above> above_of(const KeptProof& proof, BytesView storage_key_name)
{
    Above above{structures::qualified_name_of_primary(TPM2_RH_ENDORSEMENT, storage_key_name), {}};
    if (!proof.has_parent())
        return above;
    const auto parent = structures::unmarshal<TPMT_PUBLIC>(as_bytes(proof.parent()));
    if (!parent || !structures::is_importable_parent(*parent))
        return invalid("has a parent that is not of its template");
    above.parent = structures::qualified_name_of_child(above.storage_key, *parent);
    return above;
}

// Loaded in this TPM, under the storage key or the parent there.
Result<TPMT_PUBLIC> check_object(const ProvenObject& object, const structures::Expectation& expected,
                                 const Above& above)
{
    const auto area = structures::unmarshal<TPMT_PUBLIC>(as_bytes(object.object()));
    if (!area)
        return invalid("has an object that cannot be read");
    if (structures::is_child(*area) && above.parent.empty())
        return invalid("lacks the parent of " + object.label());
    const auto attest = structures::check_certify(
        {to_bytes(object.attest()), to_bytes(object.signature())}, expected, structures::name_of(*area),
        structures::qualified_name_of_child(structures::is_child(*area) ? above.parent : above.storage_key, *area));
    if (!attest)
        return attest.refusal();
    return *area;
}

} // namespace

Bytes keep_proof(const protocol::Backup& backup, const Claim& claim, const Asked& asked, const Granted& granted)
{
    KeptProof proof;
    proof.set_version(version);
    proof.set_identity_key(to_string(structures::marshal(claim.identity_key)));
    proof.set_qualifying_data(to_string(asked.qualifying_data));
    for (const auto& key : backup.keys()) {
        auto& object = *proof.add_keys();
        object.set_label(key.label());
        object.set_object(to_string(area_of(granted, key.label())));
        object.set_attest(key.certified().attest());
        object.set_signature(key.certified().signature());
    }
    if (granted.package.has_parent())
        proof.set_parent(to_string(granted_area(granted.package.parent().object())));
    return protobuf::serialize(proof);
}

Result<Proven> verify_proof(BytesView bytes, BytesView record_bytes, BytesView module_certificate,
                            const pki::Trust& trust)
{
    const auto record = package::open_record(record_bytes, trust, std::nullopt);
    if (!record)
        return record.refusal();
    const auto proof = parse(bytes);
    if (!proof)
        return proof.refusal();
    const auto module = pki::Certificate::from_der(module_certificate);
    if (!module)
        return module.refusal();
    const auto binding = check_module(*module, *record, trust);
    if (!binding)
        return binding.refusal();
    const auto signer = signer_of(*proof, *record);
    if (!signer)
        return signer.refusal();

    const auto above = above_of(*proof, binding->storage_key_name);
    if (!above)
        return above.refusal();
    const Bytes qualifying_data = to_bytes(proof->qualifying_data());
    std::set<std::string> labels;
    Proven proven;
    for (const auto& key : proof->keys()) {
        const auto area = check_object(key, {signer->area, signer->qualified_name, qualifying_data}, *above);
        if (!area)
            return area.refusal();
        if (!labels.insert(key.label()).second)
            return invalid("has a key twice");
        if (!key.label().empty())
            proven.keys.push_back(key.label());
        else if (!structures::same_key(*area, module->spki()))
            return Refusal{Reason::key_mismatch, "the proof is of another module key"};
    }
    if (!labels.contains(""))
        return invalid("lacks the module key");
    return proven;
}

} // namespace imprint::station
