// SPDX-License-Identifier: Apache-2.0
#include "tests/central/software_module.h"

#include "daemon/structures/name.h"
#include "daemon/structures/templates.h"
#include "provisioning/protocol/transaction_key.h"
#include "tests/package/software_device.h"

namespace imprint::test {

namespace {

pki::ModuleBinding make_binding(const std::string& chip, std::uint64_t epoch, const TPMT_PUBLIC& storage_key)
{
    return {random_bytes(32), epoch, structures::name_of(structures::epoch_index(0x0180494D, true)),
            structures::name_of(storage_key), chip};
}

Certified make_module(const Certified& station, const std::string& serial, const pki::ModuleBinding& binding,
                      pki::Validity validity)
{
    auto key = pki::generate_key("P-256");
    auto certificate = pki::issue_module(station.issuer(), pki::spki(key.get()), {"serial", serial}, binding, validity);
    return {std::move(key), certificate};
}

} // namespace

SoftwareModule::SoftwareModule(const TestPki& pki, const std::string& s, std::uint64_t epoch, pki::Validity validity,
                               const Certified* station)
    : storage_key(software_storage_key())
    , serial(s)
    , chip(hex(structures::digest(TPM2_ALG_SHA256, as_bytes(s))))
    , binding(make_binding(chip, epoch, storage_key))
    , module(make_module(station == nullptr ? pki.station_signing : *station, s, binding, validity))
    , issuers{station == nullptr ? pki.station_signing.certificate : station->certificate}
{
}

ClientSettings SoftwareModule::settings() const
{
    ClientSettings settings;
    settings.identity = &module;
    settings.issuers = issuers;
    return settings;
}

ClientSettings SoftwareModule::settings(const central::NewKey& key) const
{
    ClientSettings with = settings();
    with.psks.push_back(psk_of(key));
    return with;
}

Psk psk_of(const central::NewKey& key)
{
    Psk psk;
    psk.identity = protocol::new_psk_identity(key.row.id);
    psk.key = protocol::transaction_hmac(key.key, protocol::psk_input(psk.identity));
    return psk;
}

central::NewKey copy(const central::NewKey& key) { return {key.row, key.key.clone()}; }

} // namespace imprint::test
