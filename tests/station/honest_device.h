// SPDX-License-Identifier: Apache-2.0
// A small honest device on a software TPM: every message in the test's hand before it is sent.
#pragma once

#include "backup/package/package.pb.h"
#include "daemon/pki/certificate.h"
#include "daemon/tpm/security_module.h"
#include "provisioning/protocol/framing.h"
#include "provisioning/protocol/introduction.h"
#include "tests/support/software_tpm.h"
#include "tests/support/test_tcti.h"

#include <optional>

namespace imprint::test {

class HonestDevice {
public:
    explicit HonestDevice(SoftwareTpm::Kind kind = SoftwareTpm::Kind::bare, unsigned chip = 0);

    const tpm::EndorsementKey& endorsement_key() { return module.endorsement_keys().front(); }
    std::string chip() { return endorsement_key().chip_identifier; }
    std::uint64_t epoch() { return module.read_epoch(); }
    void move_on(); // two increments: the next personalization

    SoftwareTpm tpm;
    Wire wire{tpm.descriptor()};
    tpm::SecurityModule module;
    Bytes identity_certificate; // DER, kept from the last backup
};

// The device's side of one conversation.
class DeviceSide {
public:
    DeviceSide(HonestDevice& device, Bytes channel_binding);

    protocol::Message hello();
    // Hello with the proof that the device knows a transaction number or a ticket.
    protocol::Message hello(const protocol::IntroductionCode& code);
    // The bytes to send; also what the proofs are bound to.
    Bytes send_hello(const protocol::Message& message);
    protocol::Message proof(BytesView challenge) { return proof(challenge, device_.endorsement_key()); }
    protocol::Message proof(BytesView challenge, const tpm::EndorsementKey& activating);
    protocol::Message backup(BytesView grant);
    bool backed_up() const { return !content_digest_.empty(); } // a Backup was made
    protocol::Message resume() const; // after a backup

    const Bytes& qualifying_data() const { return qualifying_data_; }
    const Bytes& nonce() const { return nonce_; }

private:
    package::RecordContent record_content(const protocol::Grant& grant, std::uint64_t sequence);
    Bytes record(const protocol::Grant& grant, std::uint64_t sequence);

    HonestDevice& device_;
    Bytes channel_binding_;
    Bytes nonce_ = random_bytes(32);
    Bytes hello_;
    Bytes qualifying_data_;
    tpm::CreatedModuleKey module_key_;
    std::optional<tpm::SecurityModule::Work> work_;
    std::uint64_t epoch_ = 0;
    Bytes content_digest_;
};

void set(protocol::Attestation& to, const structures::Attestation& from);

} // namespace imprint::test
