// SPDX-License-Identifier: Apache-2.0
// A device with a real TPM, as far as the key conversation needs it.
#pragma once

#include "provisioning/central/key_session.h"
#include "tests/central/software_module.h"
#include "tests/structures/chip.h"
#include "tests/support/process.h"

namespace imprint::test {

class KeyDevice {
public:
    KeyDevice(const TestPki& pki, const std::string& serial, pki::Validity validity = valid);

    pki::Certificates chain() const { return {module.certificate, issuer}; }
    protocol::KeyMessage request() const;
    void load(const protocol::KeyGrant& grant); // checks that it is what the protocol says
    protocol::KeyMessage confirm(BytesView channel_binding);
    static protocol::KeyMessage confirm_unloaded(); // without ever having had a key
    Bytes hmac(BytesView input); // with the loaded key
    void next_epoch();

    structures::Chip tpm;
    structures::Object storage;
    TPMT_PUBLIC storage_key;
    std::string chip;
    pki::ModuleBinding binding;
    Certified module;
    pki::Certificate issuer;

private:
    structures::Object key_;
    Bytes key_id_;
};

} // namespace imprint::test
