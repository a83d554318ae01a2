// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/check_proof.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/templates.h"

#include <openssl/crypto.h>

namespace imprint::station {

namespace {

Refusal bad_key(const std::string& detail) { return {Reason::module_key_invalid, detail}; }

Verdict check_activation(const protocol::Proof& proof, const Asked& asked)
{
    if (asked.activation_secret.empty()) {
        if (proof.has_activated_secret())
            return Refusal{Reason::malformed_message, "an activated secret that was not asked for"};
        return accepted(); // the identity key's signature over our nonce is the answer to this challenge
    }
    const std::string& secret = proof.activated_secret();
    if (secret.size() != asked.activation_secret.size() ||
        CRYPTO_memcmp(secret.data(), asked.activation_secret.data(), secret.size()) != 0)
        return Refusal{Reason::activation_failed, "the activated secret is another one"};
    return accepted();
}

Verdict check_storage_key(const protocol::Proof& proof, const Claim& claim, const Asked& asked)
{
    const auto attest = structures::check_certify(to_structure(proof.storage_key()), expectation(claim, asked),
                                                  claim.storage_key_name, claim.storage_key_qualified_name);
    return attest ? accepted() : attest.refusal();
}

Verdict check_epoch(const protocol::Proof& proof, const Claim& claim, const Asked& asked)
{
    const auto value =
        structures::check_nv_certify(to_structure(proof.epoch()), expectation(claim, asked), claim.epoch_index_name);
    if (!value)
        return value.refusal();
    if (*value != claim.epoch || *value % 2 != 0)
        return Refusal{Reason::epoch_mismatch, "the counter stands at " + std::to_string(*value)};
    return accepted();
}

Verdict check_creation_data(BytesView bytes, const Claim& claim, const Asked& asked)
{
    // TPM2B_CREATION_DATA is TPMS_CREATION_DATA behind its size.
    if (bytes.size() > sizeof(TPMS_CREATION_DATA))
        return Refusal{Reason::malformed_message, "creation data that is too long"};
    Bytes sized{static_cast<std::uint8_t>(bytes.size() >> 8), static_cast<std::uint8_t>(bytes.size())};
    sized.insert(sized.end(), bytes.begin(), bytes.end());
    const auto creation = structures::unmarshal<TPM2B_CREATION_DATA>(sized);
    if (!creation)
        return creation.refusal();
    const TPMS_CREATION_DATA& data = creation->creationData;
    if (data.parentNameAlg != TPM2_ALG_SHA256 || !equal(structures::view(data.parentName), claim.storage_key_name) ||
        !equal(structures::view(data.parentQualifiedName), claim.storage_key_qualified_name))
        return bad_key("it was made under another parent");
    if (!equal(structures::view(data.outsideInfo), asked.variation))
        return bad_key("it was not made with this conversation's variation value");
    return accepted();
}

Result<ProvenKey> check_module_key(const protocol::Proof& proof, const Claim& claim, const Asked& asked)
{
    const auto area = structures::unmarshal<TPMT_PUBLIC>(as_bytes(proof.module_key()));
    if (!area || !structures::is_module_key(*area, claim.epoch_index_name, claim.sequence()))
        return bad_key("not of the published template for the coming epoch");
    const auto spki = structures::to_spki(*area);
    if (!spki)
        return bad_key(spki.refusal().detail);
    const BytesView creation_data = as_bytes(proof.creation_data());
    const auto attest =
        structures::check_creation(to_structure(proof.creation()), expectation(claim, asked),
                                   structures::name_of(*area), structures::digest(TPM2_ALG_SHA256, creation_data));
    if (!attest)
        return attest.refusal();
    if (const auto verdict = check_creation_data(creation_data, claim, asked); !verdict)
        return verdict.refusal();
    return ProvenKey{*area, structures::qualified_name_of_child(claim.storage_key_qualified_name, *area), *spki};
}

} // namespace

structures::Expectation expectation(const Claim& claim, const Asked& asked)
{
    return {claim.identity_key, claim.identity_key_qualified_name, asked.qualifying_data};
}

structures::Attestation to_structure(const protocol::Attestation& message)
{
    return {to_bytes(message.attest()), to_bytes(message.signature())};
}

Result<ProvenKey> check_proof(const protocol::Proof& proof, const Claim& claim, const Asked& asked)
{
    if (const auto verdict = check_activation(proof, asked); !verdict)
        return verdict.refusal();
    for (const auto check : {check_storage_key, check_epoch})
        if (const auto verdict = check(proof, claim, asked); !verdict)
            return verdict.refusal();
    return check_module_key(proof, claim, asked);
}

} // namespace imprint::station
