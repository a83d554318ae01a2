// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/commands.h"

#include "backup/package/record.h"
#include "provisioning/server/pem.h"
#include "provisioning/station/commands_format.h"
#include "provisioning/station/proof.h"

#include <nlohmann/json.hpp>

namespace imprint::station {

namespace {

// The one with this sequence, or the chip's newest.
RecordEntry find(Store& store, const RecordName& name)
{
    const auto chip = store.chip(name.chip);
    if (!chip)
        throw Error(Reason::unknown_chip, "chip " + name.chip);
    auto record = store.record(name.chip, name.sequence.value_or(chip->newest_sequence));
    if (!record)
        throw Error(Reason::record_not_found, "the station has no such record of this chip");
    return *std::move(record);
}

Proven prove(Store& store, const RecordEntry& record, const pki::Trust& trust)
{
    const auto proof = store.proof(record.chip, record.sequence);
    if (!proof)
        throw Error(Reason::record_not_found, "there is no proof beside the record: another station has it");
    const auto grant = store.received_grant(record.chip, record.sequence);
    if (!grant)
        throw Error(Reason::record_not_found, "the module certificate of this record is not here");
    return verify_proof(*proof, record.record, grant->module_certificate, trust).or_throw();
}

// Serials of what was granted with it: the module certificate, then those of its keys.
std::vector<std::string> certificates(Store& store, const RecordEntry& record)
{
    const auto grant = store.received_grant(record.chip, record.sequence);
    if (!grant)
        return {};
    auto serials = store.key_certificates(grant->serial);
    serials.insert(serials.begin(), grant->serial);
    return serials;
}

void print(const nlohmann::ordered_json& described, bool json)
{
    if (json) {
        std::cout << described.dump(2) << '\n';
        return;
    }
    for (const auto& [key, value] : described.items())
        std::cout << key << ": " << (value.is_string() ? value.get<std::string>() : value.dump()) << '\n';
}

} // namespace

int show_record(Store& store, const RecordName& name, bool json)
{
    const auto record = find(store, name);
    print({{"chip", record.chip},
           {"sequence", record.sequence},
           {"time", utc(record.time)},
           {"size", record.record.size()},
           {"sha256", hex(package::record_digest(record.record))},
           {"proof", store.proof(record.chip, record.sequence).has_value()},
           {"certificates", certificates(store, record)}},
          json);
    return exit_ok;
}

int prove_record(Store& store, const RecordName& name, const std::filesystem::path& trust_bundle, bool json)
{
    const Bytes pem = server::read_pem(trust_bundle);
    const auto record = find(store, name);
    const auto proven = prove(store, record, pki::trust_from_pem(pem));
    print({{"chip", record.chip},
           {"sequence", record.sequence},
           {"module-key", true},
           {"keys", proven.keys},
           {"recoverable", true}},
          json);
    return exit_ok;
}

} // namespace imprint::station
