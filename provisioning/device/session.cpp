// SPDX-License-Identifier: Apache-2.0
#include "provisioning/device/session.h"

#include "backup/package/record.h"
#include "backup/recovery/restore.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/templates.h"
#include "provisioning/device/chip.h"
#include "provisioning/device/receipt.h"
#include "provisioning/protocol/transcript.h"

namespace imprint::device {

namespace {

constexpr std::size_t nonce_size = 32;

void set(protocol::Attestation& to, const structures::Attestation& from)
{
    to.set_attest(to_string(from.attest));
    to.set_signature(to_string(from.signature));
}

// The content of a TPM2B structure that the TPM has just given us.
BytesView unsized(BytesView tpm2b)
{
    if (tpm2b.size() < 2)
        throw Error(Reason::tpm_failed, "the TPM answered with an empty structure");
    return tpm2b.subspan(2);
}

TPMT_PUBLIC area_of(BytesView object) { return structures::unmarshal<TPM2B_PUBLIC>(object).or_throw().publicArea; }

void fill(protocol::Hello& hello, const lifecycle::Chip& chip)
{
    hello.set_chip_identifier(chip.chip_identifier());
    for (const auto& key : chip.endorsement_keys()) {
        auto& to = *hello.add_endorsement_keys();
        to.set_area(key.area());
        to.set_certificate(key.certificate());
        *to.mutable_chain() = key.chain();
    }
}

// Always there, also empty.
void fill(protocol::Hello& hello, const Identity& identity)
{
    hello.set_identity_certificate(identity.shown() ? to_string(identity.known->der()) : std::string());
    if (identity.shown())
        for (const auto& issuer : identity.issuers)
            hello.add_certificates(to_string(issuer.der()));
}

void fill(protocol::Capabilities& to, const tpm::Capabilities& from)
{
    to.set_vendor(from.vendor);
    to.set_firmware(from.firmware);
    for (const auto& algorithm : from.algorithms)
        to.add_algorithms(algorithm);
}

package::BackupContent backup_content(const pki::ModuleBinding& binding, const Granted& granted,
                                      const tpm::CreatedModuleKey& key, const protocol::Grant& grant)
{
    package::BackupContent content;
    content.set_version(package::format_version);
    content.set_chip_identifier(binding.chip_identifier);
    content.set_sequence(binding.epoch);
    content.set_data_package(grant.data_package());
    auto& device = *content.mutable_device();
    device.set_module_object(to_string(key.object));
    device.set_module_sensitive(to_string(key.sensitive));
    device.set_module_certificate(to_string(granted.module.der()));
    device.set_identity_certificate(to_string(granted.identity.der()));
    for (const auto& issuer : granted.issuers)
        device.add_certificates(to_string(issuer.der()));
    device.set_central_set(grant.central_set());
    return content;
}

} // namespace

Identity identity_of(const lifecycle::Personalization* file, const pki::Trust& trust, pki::Time now)
{
    Identity identity;
    if (file == nullptr || file->identity_certificate().empty())
        return identity;
    identity.known = pki::Certificate::from_der(as_bytes(file->identity_certificate())).or_throw();
    pki::Certificates issuers;
    for (const auto& der : file->certificates())
        issuers.push_back(pki::Certificate::from_der(as_bytes(der)).or_throw());
    const auto chain = pki::verify(*identity.known, issuers, trust, pki::Role::device_identity, now);
    if (chain)
        identity.issuers.assign(chain->begin() + 1, chain->end() - 1);
    else // what else is wrong, the station says
        identity.revoked = chain.refusal().reason == Reason::certificate_revoked;
    return identity;
}

DeviceSession::DeviceSession(tpm::SecurityModule& module, const lifecycle::Store& store, Situation situation,
                             Progress progress)
    : module_(module)
    , store_(store)
    , situation_(std::move(situation))
    , progress_(std::move(progress))
    , nonce_(random_bytes(nonce_size))
{
}

Bytes DeviceSession::hello()
{
    progress_(15, "introducing the device");
    protocol::Message message;
    auto& hello = *message.mutable_hello();
    hello.set_version(protocol::version);
    fill(hello, situation_.chip);
    hello.set_identity_key(to_string(structures::marshal(module_.identity_key())));
    fill(hello, situation_.identity);
    hello.set_storage_key(to_string(structures::marshal(module_.storage_key())));
    hello.set_epoch_index(to_string(structures::marshal(module_.epoch_index())));
    hello.set_epoch(situation_.epoch);
    fill(*hello.mutable_capabilities(), situation_.capabilities);
    hello.set_nonce(to_string(nonce_));
    hello.set_clock(situation_.now.time_since_epoch().count());
    if (situation_.introduction != nullptr) {
        auto& introduction = *hello.mutable_introduction();
        introduction.set_selector(situation_.introduction->selector);
        introduction.set_proof(to_string(protocol::introduction_proof(protocol::verifier_of(*situation_.introduction),
                                                                      situation_.channel_binding,
                                                                      situation_.chip.chip_identifier(), nonce_)));
    }
    if (situation_.requested) {
        hello.mutable_requested_identity()->set_kind(situation_.requested->kind);
        hello.mutable_requested_identity()->set_value(situation_.requested->value);
    }
    hello_ = protocol::serialize(message);
    return hello_;
}

Result<Bytes> DeviceSession::take(BytesView message)
{
    // Whatever goes wrong on the way, by value or by exception, leaves a session that takes nothing more.
    const Awaiting awaiting = std::exchange(awaiting_, Awaiting::nothing);
    const auto parsed = protocol::parse(message);
    if (!parsed)
        return parsed.refusal();
    if (parsed->has_refused()) {
        refused_by_station_ = true;
        return protocol::refusal_of(parsed->refused());
    }
    return answer(awaiting, *parsed, message);
}

Result<Bytes> DeviceSession::answer(Awaiting awaiting, const protocol::Message& message, BytesView bytes)
{
    if (awaiting == Awaiting::challenge && message.has_challenge())
        return answer_challenge(message.challenge(), bytes);
    if (awaiting == Awaiting::grant && message.has_grant())
        return answer_grant(message.grant());
    if (awaiting == Awaiting::receipt && message.has_receipt())
        return answer_receipt(message.receipt());
    return Refusal{Reason::unexpected_message, "the station sent a message out of order"};
}

Result<Bytes> DeviceSession::answer_challenge(const protocol::Challenge& challenge, BytesView bytes)
{
    progress_(25, "checking the station");
    auto station = check_challenge(challenge, situation_.trust, situation_.station_name, situation_.now);
    if (!station)
        return station.refusal();
    // An activation takes the TPM seconds, and opens what somebody else has closed for this endorsement key.
    if (challenge.has_credential() && situation_.identity.shown())
        return Refusal{Reason::malformed_message, "a credential for a key that has its certificate"};
    station_ = *std::move(station);
    qualifying_data_ = protocol::qualifying_data(situation_.channel_binding, hello_, bytes);

    protocol::Message message;
    auto& proof = *message.mutable_proof();
    if (challenge.has_credential()) {
        progress_(30, "activating the credential");
        const structures::Credential credential{to_bytes(challenge.credential().id_object()),
                                                to_bytes(challenge.credential().secret())};
        const Secret secret = module_.activate_credential(chosen_key(situation_.chip), credential);
        proof.set_activated_secret(to_string(secret.view()));
    }
    progress_(35, "creating the module key");
    work_.emplace(module_);
    module_key_ = work_->create_module_key(situation_.epoch + 1, as_bytes(challenge.variation()), qualifying_data_);
    module_area_ = area_of(module_key_.object);
    progress_(45, "proving the keys");
    set(*proof.mutable_storage_key(), module_.certify_storage_key(qualifying_data_));
    const auto epoch = module_.certify_epoch(qualifying_data_);
    if (const auto verdict = check_epoch(epoch); !verdict)
        return verdict.refusal();
    set(*proof.mutable_epoch(), epoch);
    set(*proof.mutable_creation(), module_key_.creation);
    proof.set_module_key(to_string(structures::marshal(module_area_)));
    proof.set_creation_data(to_string(unsized(module_key_.creation_data)));
    awaiting_ = Awaiting::grant;
    return protocol::serialize(message);
}

// The attested value stands in for reading the counter once more before anything is built on it.
Verdict DeviceSession::check_epoch(const structures::Attestation& attestation)
{
    const Bytes signer = structures::qualified_name_of_primary(TPM2_RH_ENDORSEMENT, module_.identity_key());
    const auto value = structures::check_nv_certify(attestation, {module_.identity_key(), signer, qualifying_data_},
                                                    module_.epoch_index_name());
    if (!value)
        return value.refusal();
    if (*value != situation_.epoch)
        return Refusal{Reason::epoch_mismatch, "the epoch counter stands at " + std::to_string(*value)};
    return accepted();
}

Expected DeviceSession::expected()
{
    Expected expected{*station_,    module_area_,         module_.identity_key(), {},
                      std::nullopt, situation_.requested, situation_.central};
    expected.binding = {nonce_, situation_.epoch + 1, module_.epoch_index_name(),
                        structures::name_of(module_.storage_key()), situation_.chip.chip_identifier()};
    expected.identity = situation_.identity.known;
    return expected;
}

Result<Bytes> DeviceSession::answer_grant(const protocol::Grant& grant)
{
    progress_(55, "checking the grant");
    const auto granted = check_grant(grant, expected(), situation_.trust, situation_.now);
    if (!granted)
        return granted.refusal();
    progress_(60, "making the backup package");
    const Bytes made = make_record(*granted, grant);

    // From here on nothing is taken from memory: what these bytes give back is what a recovery will find.
    const auto record = package::open_device_record(made, situation_.trust, situation_.now);
    if (!record)
        return record.refusal();
    progress_(65, "recovering the keys from the backup package");
    protocol::Message message;
    auto& backup = *message.mutable_backup();
    const auto restored = recovery::restore(module_, *work_, *record, true, situation_.trust,
                                            [&](const std::string& label, const tpm::Transient& object) {
                                                auto& key = *backup.add_keys();
                                                key.set_label(label);
                                                set(*key.mutable_certified(), work_->certify(object, qualifying_data_));
                                            });
    if (!restored)
        return restored.refusal();
    work_.reset();

    progress_(80, "storing the files");
    backup.set_record(to_string(made));
    pending_ = recovery::file_of(*restored, made, false);
    store_.save(pending_);
    progress_(85, "waiting for the station's receipt");
    awaiting_ = Awaiting::receipt;
    return protocol::serialize(message);
}

Bytes DeviceSession::make_record(const Granted& granted, const protocol::Grant& grant)
{
    const auto binding = expected().binding;
    const Secret secret = random_secret(package::secret_size);
    const auto sealed = structures::wrap(module_.storage_key(), structures::sealed_secret_template(), secret);

    package::RecordContent content;
    content.set_version(package::format_version);
    content.set_chip_identifier(binding.chip_identifier);
    content.set_identity_certificate(to_string(granted.identity.der()));
    content.set_sequence(binding.epoch);
    content.set_time(situation_.now.time_since_epoch().count());
    content.mutable_sealed_secret()->set_object(to_string(sealed.object));
    content.mutable_sealed_secret()->set_duplicate(to_string(sealed.duplicate));
    content.mutable_sealed_secret()->set_seed(to_string(sealed.seed));
    content.set_backup_package(to_string(package::seal(backup_content(binding, granted, module_key_, grant), secret)));

    const auto key = situation_.provider.key(
        granted.identity.spki(), [this](BytesView message) { return module_.sign_with_identity_key(message); });
    return package::make_record(content, granted.identity, key.get(), granted.identity_issuers);
}

Result<Bytes> DeviceSession::answer_receipt(const protocol::Receipt& receipt)
{
    auto completed = complete(pending_, receipt, situation_.trust, station_->signing);
    if (!completed)
        return completed.refusal();
    store_.save(*completed);
    progress_(90, "personalized");
    return Bytes{};
}

} // namespace imprint::device
