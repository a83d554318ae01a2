// SPDX-License-Identifier: Apache-2.0
#include "provisioning/device/chip.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"

namespace imprint::device {

namespace {

constexpr std::size_t max_keys = 8; // as many as a station reads in Hello

lifecycle::EndorsementKey to_file(const tpm::EndorsementKey& key)
{
    lifecycle::EndorsementKey file;
    file.set_area(to_string(structures::marshal(key.area)));
    file.set_certificate(to_string(key.certificate));
    for (const auto& certificate : key.chain)
        file.add_chain(to_string(certificate));
    return file;
}

} // namespace

lifecycle::Chip begin_chip(std::vector<tpm::EndorsementKey> keys, std::size_t chosen)
{
    std::rotate(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(chosen),
                keys.begin() + static_cast<std::ptrdiff_t>(chosen) + 1);
    keys.resize(std::min(keys.size(), max_keys));
    lifecycle::Chip chip;
    chip.set_chip_identifier(keys.front().chip_identifier);
    for (const auto& key : keys)
        *chip.add_endorsement_keys() = to_file(key);
    chip.set_preparing(true);
    return chip;
}

lifecycle::Chip finish_chip(lifecycle::Chip chip, tpm::SecurityModule& module)
{
    const std::string storage = to_string(structures::name_of(module.storage_key()));
    const std::string identity = to_string(structures::name_of(module.identity_key()));
    const bool known = !chip.storage_key_name().empty();
    if (known && (chip.storage_key_name() != storage || chip.identity_key_name() != identity))
        throw Error(Reason::tpm_replaced, "this TPM has the endorsement certificate of another one, but not its keys");
    chip.set_storage_key_name(storage);
    chip.set_identity_key_name(identity);
    chip.clear_preparing();
    return chip;
}

tpm::EndorsementKey chosen_key(const lifecycle::Chip& chip)
{
    const auto& file = chip.endorsement_keys(0);
    const auto area = structures::unmarshal<TPMT_PUBLIC>(as_bytes(file.area()));
    if (!area)
        throw Error(Reason::storage_failed, "the endorsement key in chip.pb cannot be read");
    tpm::EndorsementKey key;
    key.chip_identifier = chip.chip_identifier();
    key.area = *area;
    key.certificate = to_bytes(file.certificate());
    for (const auto& certificate : file.chain())
        key.chain.push_back(to_bytes(certificate));
    return key;
}

} // namespace imprint::device
