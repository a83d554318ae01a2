// SPDX-License-Identifier: Apache-2.0
#include "tests/station/honest_device.h"

#include "backup/package/backup_package.h"
#include "backup/package/record.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/templates.h"
#include "daemon/tls/provider.h"
#include "provisioning/protocol/transcript.h"

namespace imprint::test {

namespace {

tpm::Settings settings()
{
    tpm::Settings settings;
    settings.tcti = "test"; // a TPM without a resource manager
    return settings;
}

TPMT_PUBLIC area_of(BytesView object) { return structures::unmarshal<TPM2B_PUBLIC>(object).or_throw().publicArea; }

} // namespace

void set(protocol::Attestation& to, const structures::Attestation& from)
{
    to.set_attest(to_string(from.attest));
    to.set_signature(to_string(from.signature));
}

HonestDevice::HonestDevice(SoftwareTpm::Kind kind, unsigned chip)
    : tpm(kind, SoftwareTpm::Access::descriptor, chip)
    , module(tpm::Connection(wire.tcti()), settings())
{
    module.prepare(Bytes(32, 0xa5));
}

void HonestDevice::move_on()
{
    module.increment_epoch();
    module.increment_epoch();
}

DeviceSide::DeviceSide(HonestDevice& device, Bytes channel_binding)
    : device_(device)
    , channel_binding_(std::move(channel_binding))
{
}

protocol::Message DeviceSide::hello()
{
    epoch_ = device_.epoch();
    const auto& ek = device_.endorsement_key();
    protocol::Message message;
    auto& hello = *message.mutable_hello();
    hello.set_version(protocol::version);
    hello.set_chip_identifier(ek.chip_identifier);
    auto& key = *hello.add_endorsement_keys();
    key.set_area(to_string(structures::marshal(ek.area)));
    key.set_certificate(to_string(ek.certificate));
    for (const auto& certificate : ek.chain)
        key.add_chain(to_string(certificate));
    hello.set_identity_key(to_string(structures::marshal(device_.module.identity_key())));
    hello.set_identity_certificate(to_string(device_.identity_certificate));
    hello.set_storage_key(to_string(structures::marshal(device_.module.storage_key())));
    hello.set_epoch_index(to_string(structures::marshal(device_.module.epoch_index())));
    hello.set_epoch(epoch_);
    hello.mutable_capabilities()->set_vendor("IBM");
    for (const auto& algorithm : device_.module.capabilities().algorithms)
        hello.mutable_capabilities()->add_algorithms(algorithm);
    hello.set_nonce(to_string(nonce_));
    return message;
}

protocol::Message DeviceSide::hello(const protocol::IntroductionCode& code)
{
    protocol::Message message = hello();
    auto& introduction = *message.mutable_hello()->mutable_introduction();
    introduction.set_selector(code.selector);
    introduction.set_proof(
        to_string(protocol::introduction_proof(protocol::verifier_of(code), channel_binding_, device_.chip(), nonce_)));
    return message;
}

Bytes DeviceSide::send_hello(const protocol::Message& message)
{
    hello_ = protocol::serialize(message);
    return hello_;
}

protocol::Message DeviceSide::proof(BytesView bytes, const tpm::EndorsementKey& activating)
{
    const auto challenge = protocol::parse(bytes).or_throw().challenge();
    qualifying_data_ = protocol::qualifying_data(channel_binding_, hello_, bytes);
    protocol::Message message;
    auto& proof = *message.mutable_proof();
    if (challenge.has_credential()) {
        const auto secret = device_.module.activate_credential(
            activating, {to_bytes(challenge.credential().id_object()), to_bytes(challenge.credential().secret())});
        proof.set_activated_secret(to_string(secret.view()));
    }
    work_.emplace(device_.module);
    module_key_ = work_->create_module_key(epoch_ + 1, as_bytes(challenge.variation()), qualifying_data_);
    proof.set_module_key(to_string(structures::marshal(area_of(module_key_.object))));
    proof.set_creation_data(to_string(BytesView(module_key_.creation_data).subspan(2)));
    set(*proof.mutable_creation(), module_key_.creation);
    set(*proof.mutable_storage_key(), device_.module.certify_storage_key(qualifying_data_));
    set(*proof.mutable_epoch(), device_.module.certify_epoch(qualifying_data_));
    return message;
}

package::RecordContent DeviceSide::record_content(const protocol::Grant& grant, std::uint64_t sequence)
{
    const Secret secret = random_secret(package::secret_size);
    const auto sealed = structures::wrap(device_.module.storage_key(), structures::sealed_secret_template(), secret);
    package::BackupContent backup;
    backup.set_version(package::format_version);
    backup.set_chip_identifier(device_.chip());
    backup.set_sequence(sequence);
    backup.set_data_package(grant.data_package());
    backup.mutable_device()->set_module_object(to_string(module_key_.object));
    backup.mutable_device()->set_module_sensitive(to_string(module_key_.sensitive));
    backup.mutable_device()->set_module_certificate(grant.module_certificate());
    backup.mutable_device()->set_identity_certificate(grant.identity_certificate());
    package::RecordContent content;
    content.set_version(package::format_version);
    content.set_chip_identifier(device_.chip());
    content.set_identity_certificate(grant.identity_certificate());
    content.set_sequence(sequence);
    content.set_time(1'900'000'000);
    content.mutable_sealed_secret()->set_object(to_string(sealed.object));
    content.mutable_sealed_secret()->set_duplicate(to_string(sealed.duplicate));
    content.mutable_sealed_secret()->set_seed(to_string(sealed.seed));
    content.set_backup_package(to_string(package::seal(backup, secret)));
    return content;
}

Bytes DeviceSide::record(const protocol::Grant& grant, std::uint64_t sequence)
{
    const auto content = record_content(grant, sequence);
    content_digest_ = structures::digest(TPM2_ALG_SHA256, package::serialize(content));
    const auto identity = pki::Certificate::from_der(as_bytes(grant.identity_certificate())).or_throw();
    tls::Provider provider;
    const auto key = provider.key(identity.spki(),
                                  [this](BytesView message) { return device_.module.sign_with_identity_key(message); });
    return package::make_record(content, identity, key.get(), {});
}

protocol::Message DeviceSide::backup(BytesView bytes)
{
    const auto grant = protocol::parse(bytes).or_throw().grant();
    const auto package = package::parse_data_package(as_bytes(grant.data_package())).or_throw();
    protocol::Message message;
    auto& backup = *message.mutable_backup();
    const auto prove = [&](const std::string& label, const tpm::Transient& loaded) {
        auto& key = *backup.add_keys();
        key.set_label(label);
        set(*key.mutable_certified(), work_->certify(loaded, qualifying_data_));
    };
    const auto load = [&](const auto& wrapped) {
        const structures::Importable importable{to_bytes(wrapped.object()), to_bytes(wrapped.duplicate()),
                                                to_bytes(wrapped.seed())};
        return work_->load(importable.object, work_->import(importable));
    };
    const auto parent = package.has_parent() ? load(package.parent()) : tpm::Transient();
    for (const auto& entry : package.entries())
        prove(entry.label(),
              entry.has_sensitive() ? work_->load_child(parent, as_bytes(entry.object()), as_bytes(entry.sensitive()))
                                    : load(entry));
    prove("", work_->load(module_key_.object, module_key_.sensitive));
    work_.reset();
    backup.set_record(to_string(record(grant, epoch_ + 1)));
    device_.identity_certificate = to_bytes(grant.identity_certificate());
    return message;
}

protocol::Message DeviceSide::resume() const
{
    protocol::Message message;
    auto& resume = *message.mutable_resume();
    resume.set_version(protocol::version);
    resume.set_chip_identifier(device_.chip());
    resume.set_sequence(epoch_ + 1);
    resume.set_content_digest(to_string(content_digest_));
    return message;
}

} // namespace imprint::test
