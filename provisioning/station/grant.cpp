// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/grant.h"

#include "backup/package/data_package.h"
#include "daemon/pki/issue.h"
#include "provisioning/station/central.h"
#include "provisioning/station/introductions.h"
#include "provisioning/station/make_package.h"

#include <set>

namespace imprint::station {

namespace {

// The device identity that an introduction was issued for.
using Promise = std::optional<pki::DeviceIdentity>;

Refusal other_device(const pki::DeviceIdentity& promised)
{
    return {Reason::transaction_number_foreign, "the introduction is for the device " + promised.value};
}

// Who the device wants to be has to be who it is.
Verdict check_requested(const Claim& claim, const pki::DeviceIdentity& identity)
{
    if (!claim.requested || *claim.requested == identity)
        return accepted();
    return Refusal{Reason::identity_taken, "the device asks for another identity than " + identity.value};
}

Result<pki::DeviceIdentity> choose_identity(Store& store, const Claim& claim, const Promise& promised)
{
    if (promised && claim.requested && *claim.requested != *promised)
        return other_device(*promised);
    if (promised)
        return store.assign_promised(claim.chip, *promised);
    return claim.requested ? store.assign_requested(claim.chip, *claim.requested) : store.assign_identity(claim.chip);
}

// A certificate by this station's identity CA, if that may give this identity.
Verdict certify(Chip& chip, const Credentials& credentials, const Claim& claim)
{
    const auto& ca = credentials.identity_ca.front();
    if (const auto verdict = pki::check_scope(ca, chip.identity); !verdict)
        return verdict;
    const pki::Issuer issuer{ca, credentials.identity_ca_key.get()};
    chip.identity_certificate = pki::issue_identity(issuer, claim.identity_key_spki, chip.identity, claim.chip).der();
    chip.identity_issuers = credentials.identity_ca;
    return accepted();
}

// The one that the device came with.
void adopt(Chip& chip, const Claim& claim)
{
    chip.identity_certificate = claim.identity_certificate->der();
    chip.identity_issuers = claim.identity_issuers;
}

// A chip of another station comes with its identity; a new one gets one, the one of its introduction if that has any.
Result<Chip> new_chip(const Station& station, Store& store, const Claim& claim, const Promise& promised, pki::Time now)
{
    Chip chip{.id = claim.chip, .first_granted = now};
    if (claim.identity_certificate) {
        chip.identity = pki::device_identity(*claim.identity_certificate).value();
        if (promised && chip.identity != *promised)
            return other_device(*promised);
        if (const auto verdict = check_requested(claim, chip.identity); !verdict)
            return verdict.refusal();
        adopt(chip, claim);
    } else {
        if (const auto other = store.chip_of_identity_key(claim.identity_key_spki))
            return Refusal{Reason::chip_already_known, "the same TPM is known as chip " + *other};
        auto identity = choose_identity(store, claim, promised);
        if (!identity)
            return identity.refusal();
        chip.identity = *std::move(identity);
        if (const auto verdict = certify(chip, station.credentials, claim); !verdict)
            return verdict.refusal();
    }
    if (const auto verdict = store.add_chip(chip, claim.identity_key_spki); !verdict)
        return verdict.refusal();
    return chip;
}

bool is_revoked(const Chip& chip, const pki::Certificate& certificate, const pki::Trust& trust, pki::Time now)
{
    const auto chain = pki::verify(certificate, chip.identity_issuers, trust, pki::Role::device_identity, now);
    return !chain && chain.refusal().reason == Reason::certificate_revoked;
}

// Its identity stays. Where the CA of its certificate was stolen, it gets a new one.
Result<Chip> known_chip(Chip chip, const Station& station, Store& store, const Claim& claim, const Promise& promised,
                        pki::Time now)
{
    const auto stored = pki::Certificate::from_der(chip.identity_certificate).or_throw();
    if (stored.spki() != claim.identity_key_spki)
        return Refusal{Reason::key_mismatch, "the chip is known with another identity key"};
    if (claim.identity_certificate && pki::device_identity(*claim.identity_certificate) != chip.identity)
        return Refusal{Reason::identity_taken, "the chip is known as " + chip.identity.value};
    if (promised && chip.identity != *promised)
        return other_device(*promised);
    if (const auto verdict = check_requested(claim, chip.identity); !verdict)
        return verdict.refusal();
    if (!is_revoked(chip, stored, *station.credentials.trust, now))
        return chip;
    if (claim.identity_certificate)
        adopt(chip, claim);
    else if (const auto verdict = certify(chip, station.credentials, claim); !verdict)
        return verdict.refusal();
    store.set_identity_certificate(chip);
    return chip;
}

pki::Certificate issue_module(const Station& station, const Claim& claim, const ProvenKey& key,
                              const pki::DeviceIdentity& identity, pki::Time now)
{
    const auto& signer = station.credentials.signing.front();
    const pki::ModuleBinding binding{.nonce = claim.nonce,
                                     .epoch = claim.sequence(),
                                     .epoch_index_name = claim.epoch_index_name,
                                     .storage_key_name = claim.storage_key_name,
                                     .chip_identifier = claim.chip};
    return pki::issue_module({signer, station.credentials.signing_key.get()}, key.spki, identity, binding,
                             device_validity(station, now));
}

void add_key_certificates(Store& store, const package::DataPackage& package, const std::string& grant)
{
    for (const auto& entry : package.entries())
        if (!entry.certificate().empty())
            store.add_key_certificate(pki::Certificate::from_der(as_bytes(entry.certificate())).or_throw().serial(),
                                      grant);
}

// Both certificates' issuers, each once.
void add_issuers(protocol::Grant& message, const Credentials& credentials, const Chip& chip)
{
    std::set<Bytes> issuers;
    for (const auto* chain : {&credentials.signing, &chip.identity_issuers})
        for (const auto& certificate : *chain)
            if (issuers.insert(certificate.der()).second)
                message.add_certificates(to_string(certificate.der()));
}

struct Introduced {
    Promise promised;
    std::string described;
};

// Judged once more: another process may have been quicker. Undone with the transaction if the grant fails.
Result<Introduced> burn_introduction(Store& store, const Claim& claim, pki::Time now)
{
    if (!claim.introduction)
        return Introduced{};
    const auto entry = store.introduction(claim.introduction->selector).value();
    if (const auto usable = usable_by(entry, claim.chip, now); !usable)
        return usable.refusal();
    store.burn_introduction(entry.selector, claim.chip, claim.sequence(), now);
    return Introduced{entry.identity, ", introduced by " + described(entry)};
}

} // namespace

Verdict check_in_service(Store& store, const std::string& chip)
{
    if (const auto replacement = store.replacement_of(chip))
        return Refusal{Reason::chip_replaced, "chip " + replacement->present + " took its place"};
    return accepted();
}

Verdict admit(Store& store, const Claim& claim)
{
    if (const auto note = store.quarantined(claim.chip))
        return Refusal{Reason::chip_quarantined, *note};
    if (const auto verdict = check_in_service(store, claim.chip); !verdict)
        return verdict;
    const auto chip = store.chip(claim.chip);
    if (chip && chip->newest_sequence != 0 && !claim.identity_certificate && !chip->readmitted)
        return Refusal{Reason::chip_already_known, "it has a backup here and came without its identity certificate"};
    if (store.record(claim.chip, claim.sequence()))
        return Refusal{Reason::sequence_taken, "sequence " + std::to_string(claim.sequence())};
    return accepted();
}

Result<Grants> grant(const Station& station, Store& store, const Claim& claim, const ProvenKey& key, pki::Time now)
{
    if (const auto verdict = admit(store, claim); !verdict)
        return verdict.refusal();
    const auto introduction = burn_introduction(store, claim, now);
    if (!introduction)
        return introduction.refusal();
    const auto stored = store.chip(claim.chip);
    const auto chip = stored ? known_chip(*stored, station, store, claim, introduction->promised, now)
                             : new_chip(station, store, claim, introduction->promised, now);
    if (!chip)
        return chip.refusal();
    if (const auto verdict = pki::check_scope(station.credentials.signing.front(), chip->identity); !verdict)
        return verdict.refusal();

    auto package = make_package(station, store, claim, chip->identity, now);
    if (!package)
        return package.refusal();

    Grants out{.identity = chip->identity,
               .introduced_by = introduction->described,
               .revoked = store.revoke_open_grants(claim.chip, now)};
    const auto module = issue_module(station, claim, key, chip->identity, now);
    store.add_grant({module.serial(), claim.chip, claim.sequence(), module.der(), now});
    add_key_certificates(store, *package, module.serial());
    out.granted = {module.serial(), chip->identity_certificate, *std::move(package), key};

    out.message.set_module_certificate(to_string(module.der()));
    out.message.set_identity_certificate(to_string(chip->identity_certificate));
    add_issuers(out.message, station.credentials, *chip);
    out.message.set_data_package(to_string(package::serialize(out.granted.package)));
    if (const auto set = central_set(station.credentials, store, now); !set.empty())
        out.message.set_central_set(to_string(set));
    return out;
}

} // namespace imprint::station
