// SPDX-License-Identifier: Apache-2.0
#include "tests/central/key_device.h"

#include "daemon/structures/encode.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "provisioning/protocol/transaction_key.h"

#include <stdexcept>

namespace imprint::test {

namespace {

using structures::check;
using structures::take;

constexpr ESYS_TR none = ESYS_TR_NONE;

Certified make_module(const TestPki& pki, const std::string& serial, const pki::ModuleBinding& binding,
                      pki::Validity validity)
{
    auto key = pki::generate_key("P-256");
    auto certificate =
        pki::issue_module(pki.station_signing.issuer(), pki::spki(key.get()), {"serial", serial}, binding, validity);
    return {std::move(key), certificate};
}

// The device is in operation.
std::uint64_t odd_epoch(structures::Chip& tpm)
{
    const auto even = tpm.define_epoch();
    check(Esys_NV_Increment(tpm.esys(), ESYS_TR_RH_OWNER, tpm.epoch(), ESYS_TR_PASSWORD, none, none), "NV_Increment");
    return even + 1;
}

} // namespace

KeyDevice::KeyDevice(const TestPki& pki, const std::string& serial, pki::Validity validity)
    : storage(tpm.storage_key())
    , storage_key(storage.area)
    , chip(hex(structures::digest(TPM2_ALG_SHA256, as_bytes(serial))))
    , binding{random_bytes(32), odd_epoch(tpm), structures::name_of(tpm.epoch_area()), storage.name, chip}
    , module(make_module(pki, serial, binding, validity))
    , issuer(pki.station_signing.certificate)
{
}

protocol::KeyMessage KeyDevice::request() const
{
    protocol::KeyMessage message;
    message.mutable_request()->set_version(1);
    message.mutable_request()->set_storage_key(to_string(structures::marshal(storage_key)));
    return message;
}

void KeyDevice::load(const protocol::KeyGrant& grant)
{
    if (key_.tr != none)
        tpm.flush(key_.tr);
    key_ = tpm.import(storage.tr, {to_bytes(grant.object()), to_bytes(grant.duplicate()), to_bytes(grant.seed())});
    key_id_ = to_bytes(grant.key_id());
    if (!protocol::is_transaction_key(key_.area, binding.epoch_index_name, binding.epoch))
        throw std::runtime_error("not a transaction key's public area");
}

protocol::KeyMessage KeyDevice::confirm(BytesView channel_binding)
{
    protocol::KeyMessage message;
    message.mutable_confirm()->set_proof(to_string(hmac(protocol::confirmation_input(channel_binding, key_id_))));
    return message;
}

protocol::KeyMessage KeyDevice::confirm_unloaded()
{
    protocol::KeyMessage message;
    message.mutable_confirm()->set_proof(std::string(32, 'x'));
    return message;
}

Bytes KeyDevice::hmac(BytesView input)
{
    const ESYS_TR policy = tpm.session(TPM2_SE_POLICY);
    const ESYS_TR index = tpm.epoch();
    const auto operand = structures::to_tpm2b<TPM2B_OPERAND>(structures::big_endian(binding.epoch));
    TPM2B_DIGEST* out = nullptr;
    const auto data = structures::to_tpm2b<TPM2B_MAX_BUFFER>(input);
    try {
        check(Esys_PolicyNV(tpm.esys(), index, index, policy, ESYS_TR_PASSWORD, none, none, &operand, 0, TPM2_EO_EQ),
              "PolicyNV");
        check(Esys_HMAC(tpm.esys(), key_.tr, policy, none, none, &data, TPM2_ALG_SHA256, &out), "HMAC");
    } catch (...) {
        tpm.flush(policy);
        throw;
    }
    const TPM2B_DIGEST digest = take(out);
    const auto view = structures::view(digest);
    return {view.begin(), view.end()};
}

void KeyDevice::next_epoch()
{
    check(Esys_NV_Increment(tpm.esys(), ESYS_TR_RH_OWNER, tpm.epoch(), ESYS_TR_PASSWORD, none, none), "NV_Increment");
}

} // namespace imprint::test
